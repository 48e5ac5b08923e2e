"""A free PORT, from which every other port of a copy derives."""

import os
import socket


def port_base_free() -> int:
    """A PORT whose relatives are free too: web, relay, broker, SSH bytes and the SSH gateway."""
    for base in range(20000 + os.getpid() % 300 * 100, 60000, 100):
        if all(_is_free(port) for port in (base, base + 1, base + 2, base + 3, base - 5778)):
            return base
    raise AssertionError("no free ports")


def port_free() -> int:
    """One port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
