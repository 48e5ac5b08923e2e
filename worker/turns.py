"""Loops of which the house runs one at a time: whichever worker has the turn; when it falls silent, another within 15 s."""

import logging
import os
import secrets
from collections.abc import Callable
from functools import cache

from django.conf import settings

from labs.turns.queries import turn_holder
from labs.turns.services import turn_give, turn_take, turns_end

log = logging.getLogger(__name__)
_held: set[str] = set()


@cache
def holder() -> str:
    """This process among all of the house's; begins with its node."""
    return f"{settings.NODE_ID}:{os.getpid()}:{secrets.token_hex(4)}"


def in_turn(*, name: str, work: Callable[[int], object]) -> bool:
    """Do `work` with the turn's fencing number, which belongs into every write; False while another worker has the turn."""
    fence = turn_take(name=name, holder=holder())
    if fence is None:
        _held.discard(name)
        return False
    if name not in _held:
        _held.add(name)
        log.info("%s: this worker's turn (%d)", name, fence)
    work(fence)
    return True


def turns_inherit() -> None:
    """A worker starts: what the one before it on this node held need not lapse first. Should that one live, its number is an old one."""
    turns_end(of=f"{settings.NODE_ID}:", but=holder())


def node_in_turn(*, name: str) -> str:
    """The node whose worker has the turn; empty before the first."""
    return turn_holder(name=name).partition(":")[0]


def turns_give_back() -> None:
    """This worker ends: let another go on at once."""
    for name in tuple(_held):
        turn_give(name=name, holder=holder())
        _held.discard(name)
