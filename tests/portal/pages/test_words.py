"""Numbers, times and states as the pages write them."""

from types import SimpleNamespace

import pytest

from portal.pages.templatetags.gpulab import cores, span, words_for


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
