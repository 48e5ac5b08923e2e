"""How much may be on its way in one channel: who reads slowly makes the other side wait, at a bounded price of memory.

The library gives the sender a whole new window when reading goes on, whatever it still holds back of the one before. Unless all of that
can be passed on at once, each pause would add to what is held, without end. So a side may always be written a window more than where it
is asked to go on: what is held is then gone each time.
"""

from typing import Any, cast

import asyncssh

#: Bytes that a sender may be ahead. With a round trip of 50 ms it is good for 40 MiB/s.
WINDOW = 2 * 1024 * 1024
LOW, HIGH = WINDOW // 2, 2 * WINDOW


def paced(channel: Any) -> None:
    """Bound what waits to be written to a channel."""
    channel.set_write_buffer_limits(high=HIGH, low=LOW)


class Forwarder(asyncssh.SSHForwarder):
    """One end of a forwarded connection; its peer is the other."""

    def connection_made(self, transport: Any) -> None:
        """The channel is there."""
        super().connection_made(transport)
        paced(transport)


def forwarder(peer: Any = None) -> Any:
    """An end of a forwarded connection, as a session of either kind: the library's forwarders are sessions in all but name."""
    return Forwarder(cast("asyncssh.SSHForwarder | None", peer))
