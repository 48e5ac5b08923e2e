"""Ports for the tests' own servers, all below those that the kernel gives to outgoing connections: none of these can take one before its server does."""

import itertools
import os
import secrets
import socket

#: Single ports, and the bases of whole copies, whose SSH port lies 5778 below. Linux gives 32768 and more to whoever connects.
SINGLE, BASES = range(10_000, 14_000), range(20_000, 32_700, 100)
_next = itertools.count(secrets.randbelow(len(SINGLE)))


def port_base_free() -> int:
    """A PORT whose relatives are free too: web, relay, broker, SSH bytes and the SSH gateway."""
    for step in range(len(BASES)):
        base = BASES[(os.getpid() + step) % len(BASES)]
        if all(_is_free(port) for port in (base, base + 1, base + 2, base + 3, base - 5778)):
            return base
    raise AssertionError("no free ports")


def port_free() -> int:
    """One port that nobody listens on now, and that this process gives to nobody else for a while."""
    for _ in SINGLE:
        port = SINGLE[next(_next) % len(SINGLE)]
        if _is_free(port):
            return port
    raise AssertionError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
