"""Run by a lab's own Python, in one of its terminals: starts a tool on a free port and says where it answers.

Its one argument is base64 of [commands, folder, host, within]: the commands to try, each a list whose words may hold
`{host}`, `{port}` and `{folder}`. What it says is one escape sequence that terminals do not show: ESC ] 7700 ; JSON BEL.
Short on purpose: it is typed into the terminal.
"""

import base64
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path


def say(**fact: object) -> None:
    """Tell the worker."""
    sys.stdout.write(f"\x1b]7700;{json.dumps(fact)}\x07")
    sys.stdout.flush()


def answers(port: int) -> bool:
    """Does something listen there?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Start it, say the port, and stay until it ends."""
    commands, folder, host, within = json.loads(base64.b64decode(sys.argv[1]))
    folder = Path.home() / folder
    command = next((one for one in commands if shutil.which(one[0])), None)
    if command is None or not folder.is_dir():
        say(error="no folder" if command else "missing")
        return
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    words = [word.replace("{host}", host).replace("{port}", str(port)).replace("{folder}", str(folder)) for word in command]
    child = subprocess.Popen(words, cwd=folder)
    until = time.monotonic() + within
    while child.poll() is None and time.monotonic() < until and not answers(port):
        time.sleep(0.1)
    if child.poll() is None and answers(port):
        say(port=port)
        child.wait()
    else:
        child.kill()
        say(error="no answer")


main()
