"""Numbers, times and states as the pages write them."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from labs.scheduler.snapshot import Estimate
from portal.pages.templatetags.gpulab import cores, span, words_for
from portal.pages.templatetags.queue import about


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "less than a minute"), (60, "1 min"), (3600, "1 h"), (3660, "1 h 1 min"), (86_400, "1 d"), (90_000, "1 d 1 h"), (-5, "less than a minute")],
)
def test_a_length_of_time_names_no_unit_of_which_there_is_none(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_one_core_is_no_cores() -> None:
    assert (cores(1), cores(8)) == ("1 core", "8 cores")


def test_what_is_held_for_its_owner_is_not_held_for_whoever_looks() -> None:
    lab = SimpleNamespace(state="offered", owner_id=1, state_words="Held for you")
    assert (words_for(lab, SimpleNamespace(pk=1)), words_for(lab, SimpleNamespace(pk=2))) == ("Held for you", "Held for its owner")


def test_every_time_of_the_calendar_is_the_houses(now: datetime) -> None:
    estimate = Estimate(soonest=now + timedelta(hours=30), latest=now + timedelta(hours=31))
    assert "data-clock" in about(estimate) and "data-clock" not in about(estimate, house=True)
    pages = "".join(path.read_text() for path in (Path(__file__).parents[3] / "templates/calendar").glob("*.html"))
    assert not re.findall(r"{% (?:clock|about)(?:(?!house=True|%}).)*%}|{% moment", pages)
