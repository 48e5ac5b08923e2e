"""The gateway's two keys: the one that people's clients remember, made once, and the one that labs let in, derived."""

import os
from dataclasses import dataclass
from pathlib import Path

import asyncssh

HOST_KEY = "host_key"
#: Where houses of before kept a key to labs: labs that they started take that one only.
FORMER_KEY = "gateway"


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """`host` proves the gateway to people, one of `clients` proves it to labs."""

    host: asyncssh.SSHKey
    clients: tuple[asyncssh.SSHKey, ...]


def keys_of(folder: Path, *, client_key: bytes) -> GatewayKeys:
    """The host key in `folder` (0700), made on the first call, and the key to labs, given in OpenSSH's form."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    former = folder / FORMER_KEY
    clients = [asyncssh.import_private_key(client_key)]
    if former.exists():
        clients.append(asyncssh.read_private_key(former))
    return GatewayKeys(_key(folder / HOST_KEY), tuple(clients))


def _key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        _write_whole(path, asyncssh.generate_private_key("ssh-ed25519", comment="gpulab").export_private_key(), mode=0o600)
    return asyncssh.read_private_key(path)


def _write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Never half a file, and never a secret that others could read for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=mode, exist_ok=False)
    draft.write_bytes(content)
    draft.replace(path)
