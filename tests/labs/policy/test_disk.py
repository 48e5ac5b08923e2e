"""A full workspace: what the rules say to labs with GPUs and without."""

from dataclasses import replace

import pytest

from labs.policy.excess import Excess, excesses, held_together
from labs.policy.rules import Answer, Asked, Caps, Held, Limits, Share, budget_spent, judge, more_needed
from labs.scheduler.snapshot import Waiting
from labs.scheduler.standing import left_of, left_of_group
from tests.labs.policy.test_rules import LIMITS

GPU = Asked(gpus=1, cpus=2, memory_mib=4096, shm_mib=1024, hours=2)
NO_GPU = replace(GPU, gpus=0)
FULL = Held(disk_gib=55)


def test_a_lab_with_gpus_waits_while_the_workspace_is_over_and_the_words_say_what_to_do() -> None:
    verdict = judge(GPU, FULL, LIMITS)
    assert verdict.answer == Answer.LATER
    [reason] = verdict.reasons
    assert reason.words == "Your workspace holds 55 of your 50 GiB: delete 5 GiB first, in a lab without GPUs."
    assert more_needed(verdict.reasons) == {"disk_gib": 55}


def test_a_lab_without_gpus_starts_however_full_the_workspace_is() -> None:
    assert judge(NO_GPU, FULL, LIMITS).answer == Answer.NOW


@pytest.mark.parametrize(("held", "answer"), [(0, Answer.NOW), (50, Answer.NOW), (50.01, Answer.LATER)])
def test_exactly_the_limit_is_within_it(held: float, answer: Answer) -> None:
    assert judge(GPU, Held(disk_gib=held), LIMITS).answer == answer


def test_a_hair_too_much_is_not_called_nothing() -> None:
    assert "delete 0.1 GiB first" in judge(GPU, Held(disk_gib=50.01), LIMITS).reasons[0].words


def test_a_group_whose_workspaces_are_over_together_holds_up_its_members() -> None:
    share = Share(1, "team Vision", Caps(disk_gib=200), Held(disk_gib=210.5))
    verdict = judge(GPU, Held(disk_gib=1), LIMITS, (share,))
    assert (verdict.answer, more_needed(verdict.reasons)) == (Answer.LATER, {})
    assert "workspaces of your team Vision hold 210.5 of their 200 GiB" in verdict.reasons[0].words
    assert judge(NO_GPU, Held(disk_gib=1), LIMITS, (share,)).answer == Answer.NOW


def test_a_full_workspace_makes_no_running_lab_reclaimable() -> None:
    assert budget_spent(FULL, LIMITS) == ""


@pytest.mark.parametrize("asked", [GPU, NO_GPU], ids=["gpu", "none"])
@pytest.mark.parametrize("disk", [0, 50, 50.01, 55])
def test_the_schedulers_quick_numbers_say_what_the_judge_says(asked: Asked, disk: float) -> None:
    lab = Waiting(lab_id="a", owner_id=1, since=None, asked=asked, gpu_model="", image_id=1, image_runtime="docker", may_borrow=True)  # type: ignore[arg-type]
    held, caps = Held(disk_gib=disk), Caps(disk_gib=50)
    assert left_of(LIMITS, held).covers(lab) == (judge(asked, held, LIMITS).answer == Answer.NOW)
    share, roomy = Share(1, "team", caps, held), replace(LIMITS, disk_gib=1000)
    assert left_of_group(share).covers(lab) == (judge(asked, held, roomy, (share,)).answer == Answer.NOW)


def test_who_would_be_over_a_smaller_disk_is_named_in_the_preview_with_the_excess() -> None:
    limits: Limits = replace(LIMITS, disk_gib=40)
    assert excesses(FULL, limits) == (Excess("disk_gib", "GiB of workspace", 55, 40),)
    together = held_together([FULL, Held(disk_gib=0.25)])
    assert excesses(together, Caps(disk_gib=55))[0].by == 0.2
