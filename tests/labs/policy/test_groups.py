"""Caps of whole groups: on the sum over all members, judged at the click and again under the lock."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labs.ledger.models import Event
from labs.lifecycle.allowances import allowance_of, allowances_of, budgets_spent, load_now
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone
from labs.lifecycle.queueing import wait_of
from labs.people.errors import Refused
from labs.people.models import Group, Membership, User
from labs.policy.models import LimitWindow
from labs.policy.queries import group_fairness
from labs.policy.services import group_limits_clear, group_limits_set, window_add, window_remove

pytestmark = pytest.mark.django_db
Ask = Callable[..., Lab]
CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


def _start(lab: Lab, now: datetime, cards: list[str]) -> bool:
    return lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=cards, now=now)


def test_a_team_holds_no_more_than_its_cap_together(lab_of: Ask, alice: User, bob: User, charlie: User, team: Group, root_admin: User, now: datetime) -> None:
    group_limits_set(group=team, values={"gpus": 1}, actor=root_admin, now=now)
    first, second, stranger = lab_of(alice, gpus=1), lab_of(bob, gpus=1), lab_of(charlie, gpus=1)
    assert _start(first, now, CARDS[:1])
    assert not _start(second, now, CARDS[1:]), "the team holds its one GPU"
    [share] = allowance_of(user=bob, now=now).shares
    assert (share.words, share.held.gpus) == ("team Vision", 1)
    assert _start(stranger, now, CARDS[1:]), "a stranger is not of the team"
    lab_end(lab_id=first.pk, code="asked", now=now)
    lab_gone(lab_id=first.pk, now=now)
    assert _start(second, now, CARDS[:1])


def test_a_cap_of_an_organisation_holds_for_all_below_it(lab_of: Ask, alice: User, team: Group, root_admin: User, now: datetime) -> None:
    assert team.parent
    group_limits_set(group=team.parent, values={"gpus": 0}, actor=root_admin, now=now)
    with pytest.raises(Refused, match="organisation University may have 0 for all its members together"):
        lab_of(alice, gpus=1)


def test_waiting_labs_of_a_team_are_counted_together(lab_of: Ask, alice: User, bob: User, team: Group, root_admin: User, now: datetime) -> None:
    group_limits_set(group=team, values={"pending": 1}, actor=root_admin, now=now)
    lab_of(alice)
    with pytest.raises(Refused, match="Your team Vision has 1 labs waiting already"):
        lab_of(bob)


def test_a_groups_budget_lands_softly_and_says_when_hours_return(lab_of: Ask, alice: User, bob: User, team: Group, root_admin: User, now: datetime) -> None:
    group_limits_set(group=team, values={"gpu_hours_week": 2}, actor=root_admin, now=now)
    lab = lab_of(alice, gpus=1)
    assert _start(lab, now, CARDS[:1])
    Lease.objects.update(opened_at=now - timedelta(hours=3))
    spent = budgets_spent(users=[alice, bob], now=now)
    returns = timezone.localtime(now - timedelta(hours=3) + timedelta(days=7) + timedelta(hours=1), timezone.get_default_timezone())
    assert spent.keys() == {alice.pk, bob.pk}
    assert spent[bob.pk] == f"Your team Vision has used 3 of its 2 GPU-hours of the last seven days. New hours return from {returns:%a %d %b, %H:%M} on."
    lab.refresh_from_db()
    assert lab.target == "running", "a budget ends nothing"
    waiting = lab_of(bob, gpus=1)
    assert not _start(waiting, now, CARDS[1:])
    entry = wait_of(lab=waiting, now=now)
    assert entry and spent[bob.pk] in entry.reasons, "the queue says so too, with the time"
    assert _start(lab_of(bob, gpus=0, name="cpu"), now, []), "a lab without a GPU uses no GPU-hours"


def test_a_monthly_budget_counts_thirty_days(lab_of: Ask, alice: User, root_admin: User, now: datetime) -> None:
    lab = lab_of(alice, gpus=1)
    _start(lab, now, CARDS[:1])
    Lease.objects.update(opened_at=now - timedelta(days=20), closed_at=now - timedelta(days=19))
    held = allowance_of(user=alice, now=now).held
    assert (held.gpu_hours_week, held.gpu_hours_month) == (0, 24)


def test_what_all_may_have_is_loaded_in_as_many_queries_for_many_as_for_one(
    alice: User, bob: User, charlie: User, team: Group, root_admin: User, now: datetime
) -> None:
    group_limits_set(group=team, values={"gpus": 3}, actor=root_admin, now=now)
    counts = []
    for users in ([alice], [alice, bob, charlie, root_admin]):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            allowances_of(users=users, now=now)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 16


def test_a_quiet_house_widens_a_cap_and_a_full_one_does_not(lab_of: Ask, alice: User, bob: User, root_admin: User, now: datetime) -> None:
    window_add(values={"name": "quiet", "limit": "gpus_max", "plus": 1, "below": 50}, actor=root_admin, now=now)
    lab = lab_of(alice, gpus=1)
    assert (load_now(), allowance_of(user=bob, now=now).limits.gpus_max) == (0, 2)
    _start(lab, now, CARDS[:1])
    assert (load_now(), allowance_of(user=bob, now=now).limits.gpus_max) == (50, 1)


def test_a_lab_that_started_in_a_wider_hour_goes_on_when_it_ends(lab_of: Ask, bob: User, root_admin: User, now: datetime) -> None:
    window = window_add(values={"name": "always", "limit": "gpus_max", "times": 2}, actor=root_admin, now=now)
    lab = lab_of(bob, gpus=2)
    assert _start(lab, now, CARDS)
    window_remove(window_id=window.pk, actor=root_admin, now=now)
    lab.refresh_from_db()
    assert (lab.state, lab.target, allowance_of(user=bob, now=now).limits.gpus_max) == ("starting", "running", 1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"times": 1, "plus": 0}, "widen something"),
        ({"times": 0.5}, "greater than or equal to 1"),
        ({"times": 2, "days": ""}, "days"),
        ({"times": 2, "days": "7"}, "at least one day"),
        ({"times": 2, "below": 101}, "less than or equal to 100"),
        ({"times": 2, "limit": "gpus"}, "not a valid choice"),
    ],
    ids=str,
)
def test_a_window_that_cannot_be_is_refused_in_words(root_admin: User, now: datetime, values: dict[str, object], words: str) -> None:
    with pytest.raises(Refused, match=words):
        window_add(values={"name": "x", "limit": "gpus_max"} | values, actor=root_admin, now=now)
    assert not LimitWindow.objects.exists()


def test_a_guarantee_above_the_cap_is_refused(team: Group, root_admin: User, now: datetime) -> None:
    with pytest.raises(Refused, match="cannot be above the cap"):
        group_limits_set(group=team, values={"gpus": 2, "guarantee": 3}, actor=root_admin, now=now)


def test_a_groups_part_of_the_house_is_its_weight_and_guarantee(team: Group, root_admin: User, now: datetime) -> None:
    group_limits_set(group=team, values={"gpus": 4, "guarantee": 2, "weight": 3}, actor=root_admin, now=now)
    fair = group_fairness()[team.pk]
    assert (fair.weight, fair.guarantee, fair.cap) == (3, 2, 4)


def test_a_change_of_caps_is_recorded_with_before_and_after(team: Group, root_admin: User, now: datetime) -> None:
    group_limits_set(group=team, values={"gpus": 4}, actor=root_admin, now=now)
    group_limits_set(group=team, values={"gpus": 2}, actor=root_admin, now=now)
    group_limits_set(group=team, values={"gpus": 2}, actor=root_admin, now=now)
    group_limits_clear(group=team, actor=root_admin, now=now)
    told = Event.objects.filter(kind="quota.group").order_by("pk")
    assert [(event.fact["before"]["gpus"], event.fact["after"]["gpus"]) for event in told] == [(None, 4), (4, 2), (2, None)]
    assert told[1].words == "Caps of Vision: gpus 4 → 2." and told[1].actor_name == "Root"


def test_who_is_in_two_groups_counts_in_both(lab_of: Ask, alice: User, team: Group, root_admin: User, now: datetime) -> None:
    course = Group.objects.create(kind="course", name="Vision 101", slug="v101", parent=team.parent)
    Membership.objects.create(user=alice, group=course)
    for group in (team, course):
        group_limits_set(group=group, values={"gpus": 1}, actor=root_admin, now=now)
    _start(lab_of(alice, gpus=1), now, CARDS[:1])
    assert {share.words: share.held.gpus for share in allowance_of(user=alice, now=now).shares} == {"team Vision": 1, "course Vision 101": 1}
