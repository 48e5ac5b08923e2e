"""The node's worker and relay under one program, each started again when it dies."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tools.node.join import JoinFault
from tools.node.place import environment_read
from tools.up.children import Child, children_stop

LOOK_S = 0.25
#: The worker lets go of what it does; labs run on.
STOP_GRACE_S = 40.0


def run(place: Path) -> int:
    """Until SIGTERM or SIGINT; labs are the engine's and run on."""
    try:
        environment = os.environ | environment_read(place)
    except OSError as error:
        raise JoinFault(f"This host has not joined a house yet: {error}. Make a token on the page Admin > Nodes.") from error
    Path(environment["GPULAB_HOME"]).mkdir(parents=True, exist_ok=True)
    children = [Child(name=name, command=[sys.executable, "manage.py", name, "--skip-checks"], environment=environment) for name in ("worker", "relay")]
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    for child in children:
        child.start()
    while not ending.wait(LOOK_S):
        for child in children:
            child.heal(time.monotonic())
    children_stop(children, grace_s=STOP_GRACE_S)
    return 0
