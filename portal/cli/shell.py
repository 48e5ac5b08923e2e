"""SSH: the machine's own ssh and scp, told where the house's gateway is."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import show
from .client import Api, api, lab_find
from .faults import MISSING, REFUSED, USAGE, Fault

INCLUDE = "Include gpulab.config"
REMOTE = re.compile(r"(?P<lab>[a-z0-9][a-z0-9-]*):(?P<path>.*)", re.DOTALL)
SSH_FAILED = 255


def ssh(name: str, command: list[str]) -> None:
    """Become ssh. Before a terminal, a shell in a lab that does not run is asked for as well: the gateway offers to start it, and follows it."""
    client = api()
    lab = lab_find(client, name) if not command and sys.stdin.isatty() else _running(client, name)
    door = _door(client)
    end = _run(["ssh", *_known(door), *_port(door, "-p"), f"{lab['name']}@{door['ssh_host']}", *command])
    if end == SSH_FAILED:
        sys.stderr.write("gpulab: if your key is not known here yet, add it: gpulab key\n")
    sys.exit(end)


def cp(source: str, target: str) -> None:
    """scp through the gateway; one side is LAB:path. Its progress is scp's own; with --json it is silent."""
    sides = [REMOTE.fullmatch(side) for side in (source, target)]
    if bool(sides[0]) == bool(sides[1]):
        raise Fault("One side is a lab, such as: gpulab cp data.zip LAB:data/", code=USAGE)
    client = api()
    door = _door(client)
    ends = zip(sides, (source, target), strict=True)
    words = [f"{_running(client, side['lab'])['name']}@{door['ssh_host']}:{side['path']}" if side else _here(text) for side, text in ends]
    end = _run(["scp", "-r", *(["-q"] if show.as_json else []), *_known(door), *_port(door, "-P"), "--", *words])
    if end and show.as_json:
        raise Fault("It was not copied whole.", code=end)
    if show.as_json:
        show.print_json({"source": source, "target": target})
    sys.exit(end)


def config_ssh() -> None:
    """One entry a live lab in a file of our own, included by ~/.ssh/config."""
    client = api()
    door, labs = _door(client), [lab for lab in client.all("/labs", live=True) if not lab["command"]]
    folder = Path.home() / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    ours, theirs = folder / "gpulab.config", folder / "config"
    known = "".join(f"  {option.replace('=', ' ', 1)}\n" for option in _known(door)[1:])
    entries = [f"Host gpulab-{lab['name']}\n  HostName {door['ssh_host']}\n  Port {door['ssh_port']}\n  User {lab['name']}\n{known}" for lab in labs]
    _write(ours, "# Written by `gpulab config-ssh`; it is written anew each time.\n" + "\n".join(entries))
    text = theirs.read_text() if theirs.exists() else ""
    if INCLUDE not in text.splitlines():  # an Include counts for all hosts only above the first Host
        _write(theirs, f"{INCLUDE}\n\n{text}" if text else f"{INCLUDE}\n")
    hosts = [f"gpulab-{lab['name']}" for lab in labs]
    words = f"Now: ssh {hosts[0]}   (also in VS Code: Remote-SSH, {hosts[0]})" if hosts else "You have no lab now; run it again when you have one."
    show.result({"file": str(ours), "hosts": hosts}, words)


def key_add(file: str) -> None:
    """The public half of a key becomes one of the account's."""
    path = Path(file).expanduser() if file else Path.home() / ".ssh" / "id_ed25519.pub"
    if not path.is_file():
        raise Fault(f"There is no {path}. Make a key with: ssh-keygen -t ed25519", code=MISSING)
    text = path.read_text(errors="replace")
    if "PRIVATE KEY" in text:
        raise Fault("This is the private half, which nobody but you should have. Give the file that ends in .pub.", code=REFUSED)
    made = api().post("/me/keys", {"text": text.strip(), "name": ""})
    show.result(made, f"Added {made['name']} ({made['fingerprint']}).")


def _here(path: str) -> str:
    """A path of this machine that scp does not take for a host's because of its colon."""
    return f"./{path}" if ":" in path and not path.startswith("/") else path


def _running(client: Api, name: str) -> dict[str, Any]:
    lab = lab_find(client, name)
    if lab["state"] != "running":
        raise Fault(f"{lab['name']} does not run: it is {lab['state']}. {lab['reason']}".strip())
    if lab["command"]:
        raise Fault(f"{lab['name']} is a job and has no shell. Its log: gpulab logs -f {lab['name']}")
    return lab


def _door(client: Api) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/house")
    return found


def _port(door: dict[str, Any], flag: str) -> list[str]:
    return [] if door["ssh_port"] == 22 else [flag, str(door["ssh_port"])]


def _known(door: dict[str, Any]) -> list[str]:
    """The option that lets ssh know the gateway from the first time on: its keys came by TLS, from the house itself."""
    if not door["ssh_host_keys"]:
        return []
    folder = Path.home() / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    host = door["ssh_host"] if door["ssh_port"] == 22 else f"[{door['ssh_host']}]:{door['ssh_port']}"
    _write(folder / "gpulab.known_hosts", "".join(f"{host} {key}\n" for key in door["ssh_host_keys"]))
    return ["-o", "UserKnownHostsFile=~/.ssh/gpulab.known_hosts ~/.ssh/known_hosts"]


def _run(command: list[str]) -> int:
    try:
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError as error:
        raise Fault(f"{command[0]} is not installed on this machine. On Debian or Ubuntu: sudo apt-get install openssh-client", code=MISSING) from error


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.gpulab-new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
        out.write(text)
    new.replace(path.resolve())
