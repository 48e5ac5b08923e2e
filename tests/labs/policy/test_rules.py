"""Judging a wish: now, later or never, and the words for it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.policy.rules import LIMIT_NAMES, Answer, Asked, Caps, Held, Later, Limits, Share, budget_spent, judge, more_needed

LIMITS = Limits(gpus=1, gpus_max=2, labs=2, pending=3, cpus=8, memory_gib=32, shm_gib=8, pids=4096, hours_max=12, gpu_hours_week=40, disk_gib=50, weight=1)


def _asked(**sizes: int) -> Asked:
    return Asked(**({"gpus": 1, "cpus": 2, "memory_mib": 8192, "shm_mib": 4096, "hours": 4} | sizes))


@pytest.mark.parametrize(
    ("field", "sizes"),
    [
        ("gpus", {"gpus": 3}),
        ("cpus", {"cpus": 9}),
        ("memory_gib", {"memory_mib": 33 * 1024}),
        ("shm_gib", {"shm_mib": 9 * 1024, "memory_mib": 10 * 1024}),
        ("hours", {"hours": 13}),
    ],
)
def test_a_wish_above_a_limit_in_itself_is_never(field: str, sizes: dict[str, int]) -> None:
    verdict = judge(_asked(**sizes), Held(), LIMITS)
    assert verdict.answer == Answer.NEVER and [reason.field for reason in verdict.reasons] == [field]


def test_a_wish_at_every_limit_is_granted() -> None:
    at_the_edge = _asked(gpus=2, cpus=8, memory_mib=32 * 1024, shm_mib=8 * 1024, hours=12)
    assert judge(at_the_edge, Held(), LIMITS).answer == Answer.NOW


def test_the_words_say_which_limit_by_how_much_and_what_would_fit() -> None:
    [reason] = judge(_asked(gpus=5), Held(), LIMITS).reasons
    assert reason.words == "You asked for 5 GPUs; your limit is 2, so that is 3 too many. Up to 2 would fit."


def test_every_limit_that_is_passed_is_named_at_once() -> None:
    verdict = judge(_asked(gpus=3, cpus=9, hours=13), Held(), LIMITS)
    assert [reason.field for reason in verdict.reasons] == ["gpus", "cpus", "hours"]


def test_shared_memory_counts_inside_the_memory() -> None:
    [reason] = judge(_asked(memory_mib=2048, shm_mib=4096), Held(), LIMITS).reasons
    assert reason.field == "shm_gib" and "at most 2 GiB" in reason.words


@pytest.mark.parametrize(
    ("field", "held"),
    [
        ("gpus", Held(gpus=2)),
        ("labs", Held(labs=2)),
        ("cpus", Held(cpus=7)),
        ("memory_gib", Held(memory_mib=25 * 1024)),
        ("gpu_hours_week", Held(gpu_hours_week=40.0)),
    ],
)
def test_what_passes_a_limit_only_with_what_is_held_is_later(field: str, held: Held) -> None:
    verdict = judge(_asked(), held, LIMITS)
    assert verdict.answer == Answer.LATER and [reason.field for reason in verdict.reasons] == [field]


def test_the_words_of_later_say_what_is_left() -> None:
    [reason] = judge(_asked(gpus=2), Held(gpus=1), LIMITS).reasons
    assert reason.words == "You hold 1 of your 2 GPUs, so 1 is left and this needs 2."


def test_used_up_gpu_hours_do_not_hold_back_a_lab_without_gpus() -> None:
    assert judge(_asked(gpus=0), Held(gpus=2, gpu_hours_week=99.0), LIMITS).answer == Answer.NOW


def test_no_limit_on_gpu_hours_is_no_limit() -> None:
    free = Limits(**{name: getattr(LIMITS, name) for name in Limits.__slots__} | {"gpu_hours_week": None})
    assert judge(_asked(), Held(gpu_hours_week=10_000.0), free).answer == Answer.NOW


def test_who_may_hold_no_lab_gets_none() -> None:
    none = Limits(**{name: getattr(LIMITS, name) for name in Limits.__slots__} | {"labs": 0})
    verdict = judge(_asked(gpus=0), Held(), none)
    assert verdict.answer == Answer.NEVER and verdict.reasons[0].field == "labs"


SIZES = st.builds(
    Asked,
    gpus=st.integers(0, 4),
    cpus=st.integers(1, 16),
    memory_mib=st.integers(1, 64).map(lambda gib: gib * 1024),
    shm_mib=st.integers(0, 16).map(lambda gib: gib * 1024),
    hours=st.integers(1, 24),
)
HOLDINGS = st.builds(Held, gpus=st.integers(0, 4), labs=st.integers(0, 4), cpus=st.integers(0, 16), memory_mib=st.integers(0, 65536))


@given(SIZES, HOLDINGS)
def test_now_passes_no_limit_and_every_other_answer_has_words(asked: Asked, held: Held) -> None:
    verdict = judge(asked, held, LIMITS)
    if verdict.answer == Answer.NOW:
        assert asked.gpus <= LIMITS.gpus_max and held.labs + 1 <= LIMITS.labs and asked.hours <= LIMITS.hours_max
        assert asked.gpus == 0 or held.gpus + asked.gpus <= LIMITS.gpus_max
        assert held.cpus + asked.cpus <= LIMITS.cpus and held.memory_mib + asked.memory_mib <= LIMITS.memory_gib * 1024
    else:
        assert verdict.reasons and all(reason.words.endswith(".") and reason.field for reason in verdict.reasons)


def row_of(limits: Limits) -> dict[str, int | None]:
    """A role's row with these limits."""
    return {name: getattr(limits, name) for name in LIMIT_NAMES}


def _share(held: Held, **caps: int) -> Share:
    return Share(1, "team Vision", Caps(**caps), held)


def test_what_a_group_holds_together_is_told_in_the_groups_name() -> None:
    [reason] = judge(_asked(), Held(), LIMITS, (_share(Held(gpus=6), gpus=6),)).reasons
    assert reason.words == "Your team Vision holds 6 of its 6 GPUs, and this needs 1." and not reason.limit


def test_a_wish_above_a_groups_cap_is_never() -> None:
    verdict = judge(_asked(gpus=2), Held(), LIMITS, (_share(Held(), gpus=1),))
    assert verdict.answer == Answer.NEVER and "team Vision may have 1 for all its members together" in verdict.reasons[0].words


@pytest.mark.parametrize(
    ("caps", "held"),
    [
        ({"gpus": 4}, Held(gpus=4)),
        ({"labs": 3}, Held(labs=3)),
        ({"cpus": 8}, Held(cpus=7)),
        ({"memory_gib": 32}, Held(memory_mib=25 * 1024)),
        ({"gpu_hours_week": 10}, Held(gpu_hours_week=10)),
        ({"gpu_hours_month": 10}, Held(gpu_hours_month=11)),
    ],
)
def test_every_cap_of_a_group_counts_its_members_together(caps: dict[str, int], held: Held) -> None:
    assert judge(_asked(), Held(), LIMITS, (_share(held, **caps),)).answer == Answer.LATER


@pytest.mark.parametrize(("caps", "field"), [({"hours_max": 3}, "hours"), ({"shm_gib": 3}, "shm_gib")])
def test_shm_and_hours_of_a_group_are_of_each_lab(caps: dict[str, int], field: str) -> None:
    verdict = judge(_asked(), Held(), LIMITS, (_share(Held(), **caps),))
    assert verdict.answer == Answer.NEVER and [reason.field for reason in verdict.reasons] == [field]


def test_own_limits_and_all_groups_are_named_at_once() -> None:
    shares = (_share(Held(gpus=6), gpus=6), Share(2, "course Vision 101", Caps(labs=1), Held(labs=1)))
    words = " ".join(reason.words for reason in judge(_asked(), Held(gpus=2), LIMITS, shares).reasons)
    assert "You hold 2 of your 2 GPUs" in words and "team Vision" in words and "course Vision 101 holds 1 of its 1 labs" in words


def test_a_used_up_budget_says_when_hours_return() -> None:
    held = Held(gpu_hours_week=41, week_back_at=datetime(2026, 11, 24, 14, 5, tzinfo=UTC))
    [reason] = judge(_asked(), held, LIMITS).reasons
    assert reason.words == "You have used 41 of your 40 GPU-hours of the last seven days. New hours return from Tue 24 Nov, 14:05 on."


def test_a_wish_that_fits_only_at_night_waits_for_the_night() -> None:
    at_night = replace(LIMITS, later=(Later("gpus_max", 4, "It is 4 from Wed 20:00 to Thu 07:00."),))
    verdict = judge(_asked(gpus=4), Held(), at_night)
    assert verdict.answer == Answer.LATER
    assert verdict.reasons[0].words == "Your limit is 2 GPUs now, and this needs 4. It is 4 from Wed 20:00 to Thu 07:00."
    never = judge(_asked(gpus=5), Held(), at_night)
    assert never.answer == Answer.NEVER and "your limit is 2 now and 4 at its widest, so that is 1 too many" in never.reasons[0].words


def test_a_slice_counts_for_its_share_of_a_card() -> None:
    slice_ = replace(_asked(), gpu_share=0.25)
    assert judge(slice_, Held(gpus=1.75), LIMITS).answer == Answer.NOW
    assert judge(slice_, Held(gpus=2), LIMITS).answer == Answer.LATER


def test_a_refusal_says_what_would_have_to_be_asked_for() -> None:
    assert more_needed(judge(_asked(gpus=3, hours=13), Held(), LIMITS).reasons) == {"gpus_max": 3, "hours_max": 13}
    assert more_needed(judge(_asked(gpus=2), Held(gpus=1), LIMITS).reasons) == {"gpus_max": 3}
    assert more_needed(judge(_asked(), Held(), LIMITS, (_share(Held(gpus=6), gpus=6),)).reasons) == {}


def test_a_budget_that_is_spent_is_told_for_the_person_and_for_the_group() -> None:
    assert budget_spent(Held(gpu_hours_week=39), LIMITS) == ""
    assert budget_spent(Held(gpu_hours_week=40), LIMITS).startswith("You have used 40 of your 40 GPU-hours")
    assert budget_spent(Held(), LIMITS, (_share(Held(gpu_hours_month=9), gpu_hours_month=9),)).startswith("Your team Vision has used 9 of its 9")
