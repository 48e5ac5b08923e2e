"""What is inside a person's guarantee and what is beyond it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

#: Shares are fractions: this much is the same.
ALIKE = 0.005


@dataclass(frozen=True, slots=True)
class Holding:
    """A lab with what it holds, in whole cards and fractions of them, and how it is marked now."""

    lab_id: str
    share: float
    since: datetime
    over_quota: bool


def is_beyond(share: float, *, inside: float, guarantee: float) -> bool:
    """Would so much more be beyond the guarantee?"""
    return inside + share > guarantee + ALIKE


def beyond_guarantee(holdings: Iterable[Holding], guarantee: float) -> frozenset[str]:
    """The labs of one person that are beyond the guarantee.

    Who is inside stays inside while the guarantee holds them, the oldest first; what room is left goes to the oldest of the others.
    """
    inside = 0.0
    over: set[str] = set()
    for one in sorted(holdings, key=lambda one: (one.over_quota, one.since, one.lab_id)):
        if is_beyond(one.share, inside=inside, guarantee=guarantee):
            over.add(one.lab_id)
        else:
            inside += one.share
    return frozenset(over)
