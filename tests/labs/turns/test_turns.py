"""One at a time, and whoever slept in its turn is known by its number."""

import pytest
from django.db import transaction

from labs.turns.models import Turn
from labs.turns.queries import turn_holder
from labs.turns.services import turn_give, turn_holds, turn_take, turns_end

pytestmark = pytest.mark.django_db


def holds(fence: int) -> bool:
    with transaction.atomic():
        return turn_holds(name="schedule", fence=fence)


def lapse() -> None:
    Turn.objects.update(until="2020-01-01T00:00:00Z")


def test_the_first_who_asks_has_the_turn_and_keeps_it_with_one_number():
    first = turn_take(name="schedule", holder="a")
    assert first is not None and turn_take(name="schedule", holder="a") == first and holds(first)
    assert turn_holder(name="schedule") == "a"


def test_a_second_one_waits_until_the_first_is_silent():
    first = turn_take(name="schedule", holder="a")
    assert turn_take(name="schedule", holder="b") is None
    lapse()
    second = turn_take(name="schedule", holder="b")
    assert first is not None and second is not None and second > first and holds(second)


def test_who_wakes_after_another_took_over_holds_nothing():
    first = turn_take(name="schedule", holder="a")
    lapse()
    turn_take(name="schedule", holder="b")
    assert first is not None and not holds(first) and turn_take(name="schedule", holder="a") is None


def test_a_turn_that_is_given_back_is_free_at_once():
    turn_take(name="schedule", holder="a")
    assert turn_give(name="schedule", holder="a") and not turn_give(name="schedule", holder="a")
    assert turn_take(name="schedule", holder="b") is not None


def test_a_machine_whose_process_was_started_anew_does_not_wait_for_the_old_one():
    old = turn_take(name="schedule", holder="n1:10:a")
    assert turns_end(of="n1:", but="n1:20:b") == 1 and turns_end(of="n2:", but="n2:1:c") == 0
    new = turn_take(name="schedule", holder="n1:20:b")
    assert old is not None and new is not None and new > old and turns_end(of="n1:", but="n1:20:b") == 0


def test_turns_of_different_loops_do_not_meet():
    assert turn_take(name="schedule", holder="a") and turn_take(name="reap", holder="b")


def test_who_let_the_turn_lapse_and_takes_it_again_has_a_new_number():
    first = turn_take(name="schedule", holder="a")
    lapse()
    again = turn_take(name="schedule", holder="a")
    assert first is not None and again is not None and again > first and not holds(first)
