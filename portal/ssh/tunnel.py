"""From the gateway to a lab's own sshd: a stream of the relay's byte door, and SSH inside it."""

import asyncio
import socket
import time
from dataclasses import dataclass

import asyncssh

from labs.lifecycle.passes import mint

GREETING = b"GPULAB/1 "
YES = b"OK\n"
CONNECT_S = 10.0
PATIENCE_S = 2.5
RETRY_S = 0.25
#: The stream does not leave the host (or runs in TLS): the cheapest of the good ciphers, for it is done twice.
CIPHERS = ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"]


class Unreachable(Exception):
    """The relay did not open a way, or the lab's sshd did not answer."""


@dataclass(frozen=True, slots=True)
class Way:
    """How labs are reached: the relay's byte door, the key that signs passes, the keys of which a lab takes one, as whom."""

    door: tuple[str, int]
    pass_key: bytes
    client_keys: tuple[asyncssh.SSHKey, ...]
    username: str = "lab"


async def connected_soon(way: Way, *, user_id: int, lab_id: str) -> asyncssh.SSHClientConnection:
    """The same, with some patience: a lab that has just begun to answer may not be known to its relay yet. Raises Unreachable."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await connected(way, user_id=user_id, lab_id=lab_id)
        except Unreachable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(RETRY_S)


async def connected(way: Way, *, user_id: int, lab_id: str) -> asyncssh.SSHClientConnection:
    """An SSH connection to the lab, for its owner. Raises Unreachable."""
    try:
        async with asyncio.timeout(CONNECT_S):
            sock = await _stream(way, user_id=user_id, lab_id=lab_id)
            return await asyncssh.connect(
                sock=sock,
                username=way.username,
                client_keys=list(way.client_keys),
                # The lab makes its host key at its start; that the stream ends there is what the relay vouches for.
                known_hosts=None,
                config=None,
                agent_path=None,
                encryption_algs=CIPHERS,
                compression_algs=None,
                keepalive_interval=30,
            )
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise Unreachable(str(error)) from error


async def _stream(way: Way, *, user_id: int, lab_id: str) -> socket.socket:
    """A socket on which the lab's sshd speaks next: not a byte more than the answer is read here."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(*way.door, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, address)
        stated = mint(key=way.pass_key, kind="ssh", user_id=user_id, lab_id=lab_id, role="owner", now=time.time())
        await loop.sock_sendall(sock, GREETING + stated.encode() + b"\n")
        if await _exactly(sock, len(YES)) != YES:
            raise Unreachable("the relay opened no way")
    except BaseException:
        sock.close()
        raise
    return sock


async def _exactly(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = await asyncio.get_running_loop().sock_recv(sock, size - len(received))
        if not chunk:
            break
        received += chunk
    return received
