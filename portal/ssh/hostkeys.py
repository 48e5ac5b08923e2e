"""The gateway's two keys, made once: the one that people's clients remember, and the one that labs let in."""

import os
from dataclasses import dataclass
from pathlib import Path

import asyncssh

HOST_KEY = "host_key"
CLIENT_KEY = "gateway"


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """`host` proves the gateway to people, `client` proves it to labs."""

    host: asyncssh.SSHKey
    client: asyncssh.SSHKey


def keys_of(folder: Path) -> GatewayKeys:
    """The keys in `folder` (0700), made on the first call. The client key's public half lies beside it for the labs."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    keys = GatewayKeys(_key(folder / HOST_KEY), _key(folder / CLIENT_KEY))
    public = folder / f"{CLIENT_KEY}.pub"
    line = keys.client.export_public_key()
    if not public.exists() or public.read_bytes() != line:
        _write_whole(public, line, mode=0o644)
    return keys


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
