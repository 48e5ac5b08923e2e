"""How well estimates of starts did. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: A range is told in whole minutes, so it holds whatever rounds into it.
SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the estimates held the true start."""

    right: int
    of: int

    @property
    def words(self) -> str:
        """`right 8 of 10 times this week`; empty while nothing was tested."""
        return f"right {self.right} of {self.of} {'time' if self.of == 1 else 'times'} this week" if self.of else ""


def was_right(earliest: datetime, latest: datetime, came: datetime) -> bool:
    """Did the range hold the moment?"""
    return earliest - SLACK <= came <= latest + SLACK


def score(rows: list[tuple[datetime, datetime, datetime]]) -> Score:
    """Of (earliest, latest, came) rows."""
    return Score(sum(was_right(*row) for row in rows), len(rows))
