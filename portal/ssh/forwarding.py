"""Ports of the lab brought to the person, and the person's ports brought into the lab; never anything of the host."""

from typing import cast

import asyncssh

from portal.ssh.pace import WINDOW, forwarder

#: The lab's own loopback, by the names that clients use for it. Nothing else is reached by forwarding.
INSIDE = frozenset(("localhost", "127.0.0.1", "::1"))
#: Where clients may ask to listen. Whatever they ask for, it is the lab's loopback.
LISTENED = INSIDE | {"", "*", "0.0.0.0", "::"}  # noqa: S104  (names that a client may say; nothing is bound to them)
ONLY_THE_LAB = "Only ports of the lab itself can be reached"
TCPSession = asyncssh.SSHTCPSession[bytes]
UNIXSession = asyncssh.SSHUNIXSession[bytes]


def outward_check(host: str) -> None:
    """Refuse what is not the lab itself."""
    if host not in INSIDE:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, ONLY_THE_LAB)


async def reached(lab: asyncssh.SSHClientConnection, host: str, port: int) -> TCPSession:
    """A port of the lab, for a channel of the person's client."""
    _, peer = await lab.create_connection(forwarder, host, port, window=WINDOW)
    return cast("TCPSession", forwarder(peer))


async def reached_unix(lab: asyncssh.SSHClientConnection, path: str) -> UNIXSession:
    """A socket among the lab's files, the same way."""
    _, peer = await lab.create_unix_connection(forwarder, path, window=WINDOW)
    return cast("UNIXSession", forwarder(peer))


async def listened(person: asyncssh.SSHServerConnection, lab: asyncssh.SSHClientConnection, host: str, port: int) -> asyncssh.SSHListener | None:
    """Listen on that port of the lab's loopback, and bring what comes there to the person's client. None when the lab says no."""
    taken: list[int] = []

    async def brought(orig_host: str, orig_port: int) -> TCPSession:
        """Somebody in the lab called: the client knows it by the address that it asked for."""
        _, peer = await person.create_connection(forwarder, host, taken[0], orig_host, orig_port, window=WINDOW)
        return cast("TCPSession", forwarder(peer))

    try:
        listener = await lab.create_server(brought, "localhost", port, window=WINDOW)
    except (asyncssh.Error, OSError):
        return None
    taken.append(port or listener.get_port())
    return listener
