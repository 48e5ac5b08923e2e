"""Ports of the lab brought to the person, and the person's ports brought into the lab; never anything of the host."""

from typing import cast

import asyncssh

#: The lab's own loopback, by the names that clients use for it. Nothing else is reached by forwarding.
INSIDE = frozenset(("localhost", "127.0.0.1", "::1"))
#: Where clients may ask to listen. Whatever they ask for, it is the lab's loopback.
LISTENED = INSIDE | {"", "*", "0.0.0.0", "::"}  # noqa: S104  (names that a client may say; nothing is bound to them)
ONLY_THE_LAB = "Only ports of the lab itself can be reached"
TCPSession = asyncssh.SSHTCPSession[bytes]


def outward_check(host: str) -> None:
    """Refuse what is not the lab itself."""
    if host not in INSIDE:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, ONLY_THE_LAB)


async def listened(person: asyncssh.SSHServerConnection, lab: asyncssh.SSHClientConnection, host: str, port: int) -> asyncssh.SSHListener | None:
    """Listen on that port of the lab's loopback, and bring what comes there to the person's client. None when the lab says no."""
    taken: list[int] = []

    async def brought(orig_host: str, orig_port: int) -> TCPSession:
        """Somebody in the lab called: the client knows it by the address that it asked for."""
        factory = cast("asyncssh.SSHTCPSessionFactory[bytes]", asyncssh.SSHForwarder)
        _, peer = await person.create_connection(factory, host, taken[0], orig_host, orig_port)
        return cast("TCPSession", asyncssh.SSHForwarder(cast("asyncssh.SSHForwarder", peer)))

    try:
        listener = await lab.create_server(brought, "localhost", port)
    except (asyncssh.Error, OSError):
        return None
    taken.append(port or listener.get_port())
    return listener
