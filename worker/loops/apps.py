"""TensorBoard and VS Code in labs of this node: started when wished, looked after, ended when wished."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

from labs.lifecycle import states
from labs.lifecycle.addresses import app_port_check
from labs.lifecycle.tokens import upstream_token
from labs.sharing.models import App
from labs.sharing.queries import apps_open
from labs.sharing.services import app_answers, app_ended
from worker.hands import Hands
from worker.jupyter import Jupyter, JupyterFault

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="apps")
#: The first TensorBoard of a lab reads its packages from a cold disk.
WITHIN_S = 60.0
#: From when on a start that nobody works at counts as lost.
LOST = timedelta(minutes=3)
#: What is tried for each tool, in this order; the words in braces are the launcher's.
COMMANDS = {
    "tensorboard": [["tensorboard", "--logdir", "{folder}", "--host", "{host}", "--port", "{port}"]],
    "vscode": [
        ["code-server", "--auth", "none", "--bind-addr", "{host}:{port}", "--disable-telemetry", "--disable-update-check", "{folder}"],
        ["openvscode-server", "--host", "{host}", "--port", "{port}", "--without-connection-token", "--telemetry-level", "off"],
    ],
}
SLOW = "It did not answer within a minute. The lab may be busy: try again, or look at it in a terminal."


def tick(*, hands: Hands, now: datetime) -> None:
    """One look at every app of the node that has not ended."""
    for app in apps_open(node_id=hands.node_id):
        if app.lab.state != states.RUNNING or app.lab.attempt != app.attempt:
            app_ended(app=app, words="The lab has ended.", now=now)
        elif app.stop:
            _end(app, "", now)
        elif app.state == App.State.STARTING:
            _start_soon(app, hands, now)
        else:
            _look(app, now)


def _start_soon(app: App, hands: Hands, now: datetime) -> None:
    if now - app.state_since > LOST:
        _end(app, SLOW, now)
    else:
        hands.once(pool, f"app:{app.pk}", lambda: start(app=app, hands=hands))


def start(*, app: App, hands: Hands) -> bool:
    """Start it, and say so; or say in words why not. True when it answers."""
    jupyter = _jupyter(app)
    # Nobody but the relay reaches a container's own network. Where labs share the host's, it stays on the loopback.
    host = "0.0.0.0" if hands.isolates else "127.0.0.1"  # noqa: S104
    try:
        jupyter.terminal_open(app.terminal)
        said = jupyter.tool_start(app.terminal, [COMMANDS[app.tool], app.folder, host, WITHIN_S], within=WITHIN_S + 10)
    except JupyterFault as fault:
        log.warning("%s did not start: %s", app, fault)
        said = {"error": "no answer"}
    port = said.get("port")
    if isinstance(port, int) and not app_port_check(port) and app_answers(app=app, port=port, now=hands.clock()):
        return True
    words = {"missing": app.kind.missing, "no folder": f"There is no folder {app.folder} in the workspace."}.get(str(said.get("error")), SLOW)
    _end(app, words, hands.clock())
    return False


def _look(app: App, now: datetime) -> None:
    """A tool that is gone took its terminal with it. A Jupyter that does not answer is asked again at the next look."""
    with suppress(JupyterFault):
        if app.terminal not in _jupyter(app).terminals():
            app_ended(app=app, words="It ended by itself.", now=now)


def _end(app: App, words: str, now: datetime) -> None:
    try:
        _jupyter(app).terminal_end(app.terminal)
    except JupyterFault as fault:
        log.warning("%s is not ended yet: %s", app, fault)
        return
    app_ended(app=app, words=words, now=now)


def _jupyter(app: App) -> Jupyter:
    lab = app.lab
    return Jupyter((lab.jupyter_host, lab.jupyter_port or 0), lab.base_url, upstream_token(lab_id=lab.pk, attempt=lab.attempt))
