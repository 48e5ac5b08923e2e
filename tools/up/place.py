"""Where this copy lives: its folder, its ports, its secrets and the environment that its children get."""

import fcntl
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap import ROOT, uv_environment

SECRETS = "secrets.env"
RUNNING = "running.env"


class UpFault(Exception):
    """`make up` cannot go on; the words say why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """One copy of GPU Lab on this machine. Two copies differ in `port` and `home`, and share nothing."""

    home: Path
    port: int
    url: str
    ssh_port: int
    own_broker: bool

    @property
    def broker_port(self) -> int:
        """Every port derives from `port`: web, relay, broker and the relay's byte door follow each other."""
        return self.port + 2

    @property
    def ports(self) -> dict[str, int]:
        """What must be free before anything starts."""
        found = {"web": self.port, "relay": self.port + 1, "SSH bytes": self.port + 3, "SSH": self.ssh_port}
        return found | ({"broker": self.broker_port} if self.own_broker else {})


def place_read(environment: Mapping[str, str]) -> Place:
    """Read PORT, GPULAB_HOME and the overrides; raises UpFault on nonsense."""
    text = environment.get("PORT", "").strip() or "8000"
    if not (text.isascii() and text.isdigit()) or not 5779 <= int(text) <= 65000:
        raise UpFault(f"PORT is {text!r}; it must be a whole number from 5779 to 65000 (the other ports derive from it).")
    port = int(text)
    bind = environment.get("GPULAB_SSH_BIND", "")
    return Place(
        home=Path(environment.get("GPULAB_HOME", "").strip() or ROOT / ".gpulab").expanduser().resolve(),
        port=port,
        url=environment.get("GPULAB_PORTAL_URL", "") or f"http://localhost:{port}",
        ssh_port=_port_of(bind) if bind else 2222 + port - 8000,
        own_broker=not environment.get("GPULAB_REDIS_URL"),
    )


def _port_of(bind: str) -> int:
    text = bind.rpartition(":")[2]
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 65536:
        raise UpFault(f"GPULAB_SSH_BIND is {bind!r}; it must be host:port, such as 127.0.0.1:2222.")
    return int(text)


def home_take(place: Place) -> int:
    """Make the folder and lock it for as long as this process lives; a second copy on it is refused in words.

    Returns the lock's file descriptor: keep it open.
    """
    try:
        place.home.mkdir(parents=True, exist_ok=True)
        (place.home / "static").mkdir(exist_ok=True)
        place.home.chmod(0o711)  # labs of other users pass through, nobody else looks around
        lock = os.open(place.home / "up.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise UpFault(f"{place.home} cannot be used: {error.strerror}. Choose another folder: GPULAB_HOME=/srv/gpulab make up") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UpFault(f"GPU Lab already runs on {place.home}. Stop it first, or start a second copy with its own PORT and GPULAB_HOME.") from None
    return lock


def ports_check(place: Place) -> None:
    """All ports are free, or UpFault names the taken one."""
    for what, port in place.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise UpFault(f"Port {port} ({what}) is taken by another program. Choose another base: PORT={_other(place.port)} make up") from None


def _other(port: int) -> int:
    return port + 100 if port + 100 <= 65000 else 8000


def secrets_read(place: Place) -> dict[str, str]:
    """The copy's own secrets, made once with mode 0600; no secret has a default."""
    path = place.home / SECRETS
    if not path.exists():
        made = {"GPULAB_SECRET_KEY": secrets.token_urlsafe(48), "GPULAB_REDIS_PASSWORD": secrets.token_urlsafe(32)}
        text = "# Made by `make up` for this copy only. Whoever reads it can sign in as anybody.\n"
        text += "".join(f"{name}={value}\n" for name, value in made.items())
        _private_write(path, text)
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def environment_for(place: Place, held: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What every child gets: the caller's own settings first, ours where there are none."""
    found = uv_environment(environment=environment)
    found |= {"PORT": str(place.port), "GPULAB_HOME": str(place.home), "PYTHONUNBUFFERED": "1"}
    found |= {"DJANGO_SETTINGS_MODULE": "portal.settings", "CELERY_SKIP_CHECKS": "1"}
    found.setdefault("GPULAB_SECRET_KEY", held["GPULAB_SECRET_KEY"])
    found.setdefault("GPULAB_REDIS_URL", f"redis://:{held['GPULAB_REDIS_PASSWORD']}@127.0.0.1:{place.broker_port}/0")
    found.setdefault("GPULAB_PORTAL_URL", place.url)
    # What must be found again by `import` and by `uv`, whatever the caller's shell had.
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found.get('PATH', os.defpath)}"
    found["PYTHONPATH"] = str(ROOT)
    return found


def environment_write(place: Place, environment: Mapping[str, str]) -> None:
    """Leave the settings of this start for `manage.py` used by hand: ports, secrets, whatever the caller had set."""
    held = {name: value for name, value in environment.items() if name == "PORT" or name.startswith("GPULAB_")}
    _private_write(place.home / RUNNING, "".join(f"{name}={value}\n" for name, value in sorted(held.items()) if "\n" not in value))


def _private_write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.rename(path)
