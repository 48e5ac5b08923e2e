"""What the scheduler is told: everything that a plan depends on, in few queries however long the queue is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labs.catalogue.models import Image
from labs.fleet.models import Gpu, Node
from labs.lifecycle.fairness import decayed_hours, usage_decayed
from labs.lifecycle.holdings import gpu_hours_since
from labs.lifecycle.models import Lab, Lease, QueueMove
from labs.lifecycle.moves import lab_assign, lab_gone, lab_ready
from labs.lifecycle.services import lab_stop
from labs.lifecycle.waiting import snapshot_load
from labs.people.models import Group, Membership, Role, User
from labs.people.services import group_create
from labs.policy.models import GroupLimits

pytestmark = pytest.mark.django_db
CARDS = ["GPU-00000000-test", "GPU-00000001-test"]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
#: A queue of any length is read in so many queries, the cached ones of the past included.
MOST_QUERIES = 34


def _run(lab: Lab, now: Any, *cards: str) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=cards, now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.get(pk=lab.pk)


def _ended(lab: Lab, owner: User, now: Any) -> None:
    lab_stop(lab=lab, actor=owner, now=now)
    lab_gone(lab_id=lab.pk, now=now)


def _slice(lab_of: Any, alice: Any) -> Any:
    Gpu.objects.filter(pk=CARDS[0]).update(mig=True)
    for uuid, profile, share in (("MIG-small", "1g.18gb", 1 / 7), ("MIG-large", "3g.71gb", 3 / 7)):
        Gpu.objects.create(uuid=uuid, node_id="n1", index=0, model="NVIDIA H200", memory_mib=1, parent_id=CARDS[0], profile=profile, share=share)
    return lab_of(alice, gpus=0, wants_slice="1g.18gb")


# ------------------------------------------------------------------ what is seen


def test_a_running_lab_is_seen_with_its_cards_its_limit_and_its_marks(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice, gpus=2, hours=3), now - HOUR, *CARDS)
    [seen] = snapshot_load(now=now).running
    assert (seen.lab_id, seen.owner_id, seen.node_id, seen.gpu_uuids, seen.share) == (lab.pk, alice.pk, "n1", tuple(CARDS), 2.0)
    assert (seen.started_at, seen.ends_at, seen.over_quota, seen.notice_until) == (now - HOUR, now + 2 * HOUR, False, None)


def test_a_stopping_lab_is_seen_to_come_free_soon(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _run(lab_of(alice, gpus=1, hours=3), now, CARDS[0])
    lab_stop(lab=lab, actor=alice, now=now)
    assert snapshot_load(now=now).running[0].ends_at <= now + timedelta(seconds=90)


def test_a_node_has_what_its_labs_leave(lab_of: Any, alice: Any, node: Any, now: Any) -> None:
    _run(lab_of(alice, gpus=1, cpus=4, memory_gib=8), now, CARDS[0])
    [seen] = snapshot_load(now=now).nodes
    assert [(card.uuid, card.free) for card in seen.cards] == [(CARDS[0], False), (CARDS[1], True)]
    assert seen.memory_mib - seen.free_memory_mib == 8 * 1024


def test_cards_come_with_where_they_sit(node: Any, now: Any) -> None:
    Gpu.objects.filter(pk=CARDS[0]).update(place=["numa0", "switch0", "nvlink0"])
    assert snapshot_load(now=now).nodes[0].cards[0].place == ("numa0", "switch0", "nvlink0")


def test_an_administrators_hand_in_the_queue_is_seen(lab_of: Any, alice: Any, root_admin: Any, now: Any) -> None:
    QueueMove.objects.create(lab=lab_of(alice), priority=3, reason="paper", made_by=root_admin, made_at=now)
    assert snapshot_load(now=now).waiting[0].priority == 3


# ------------------------------------------------------------------ slices


def test_a_card_in_mig_mode_is_no_unit_and_its_slices_are(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _slice(lab_of, alice)
    seen = snapshot_load(now=now)
    assert [(card.uuid, card.slice, round(card.share, 2)) for card in seen.nodes[0].cards] == [
        ("MIG-large", "3g.71gb", 0.43),
        ("MIG-small", "1g.18gb", 0.14),
        (CARDS[1], "", 1.0),
    ]
    assert (lab.gpus, seen.waiting[0].wants_slice, round(seen.waiting[0].asked.gpu_share, 2)) == (1, "1g.18gb", 0.14)


@pytest.mark.parametrize("card", [CARDS[0], CARDS[1], "MIG-large"])
def test_a_lab_gets_the_slice_that_it_asked_for_and_nothing_else(lab_of: Any, alice: Any, now: Any, card: str) -> None:
    lab = _slice(lab_of, alice)
    assert not lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[card], now=now)
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=["MIG-small"], now=now)


def test_a_lab_that_asked_for_a_card_gets_no_slice_and_no_card_in_mig_mode(lab_of: Any, alice: Any, bob: Any, now: Any) -> None:
    _slice(lab_of, alice)
    lab = lab_of(bob, gpus=1)
    assert not any(lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[card], now=now) for card in (CARDS[0], "MIG-small", "MIG-large"))


def test_a_slice_counts_for_its_fraction(lab_of: Any, alice: Any, now: Any) -> None:
    lab = _slice(lab_of, alice)
    _run(lab, now - 7 * HOUR, "MIG-small")
    assert snapshot_load(now=now).held[alice.pk].gpus == pytest.approx(0.14)
    assert usage_decayed(now=now)[alice.pk] == pytest.approx(1.0, rel=0.05)


# ------------------------------------------------------------------ fairness


def test_what_was_used_a_half_life_ago_counts_half(now: Any) -> None:
    fresh = decayed_hours(now - HOUR, now, now, 7 * DAY)
    assert fresh == pytest.approx(1.0, rel=0.01)
    assert decayed_hours(now - 7 * DAY - HOUR, now - 7 * DAY, now, 7 * DAY) == pytest.approx(fresh / 2)


def test_use_decays_by_person_and_adds_up_in_the_groups_above(lab_of: Any, alice: Any, bob: Any, team: Group, now: Any) -> None:
    _ended(_run(lab_of(alice, gpus=2), now - 7 * DAY - HOUR, *CARDS), alice, now - 7 * DAY)
    _run(lab_of(bob, gpus=1), now - 2 * HOUR, CARDS[0])
    seen = snapshot_load(now=now)
    assert seen.people[bob.pk].usage == pytest.approx(2.0, rel=0.02)
    assert seen.groups[team.pk].usage == seen.groups[team.parent_id].usage == pytest.approx(3.0, rel=0.02)
    assert seen.groups[team.pk].held == 1.0


def test_a_person_stands_below_team_and_organisation(lab_of: Any, alice: Any, charlie: Any, team: Group, root_admin: Any, now: Any) -> None:
    course = group_create(kind="course", name="Robots", slug="robots", parent=team.parent, actor=root_admin, now=now)
    Membership.objects.create(user=charlie, group=course)
    GroupLimits.objects.create(group=team, weight=3, guarantee=4)
    lab_of(alice)
    lab_of(charlie)
    seen = snapshot_load(now=now)
    assert (seen.people[alice.pk].path, seen.people[charlie.pk].path) == ((team.parent_id, team.pk), (team.parent_id, course.pk))
    assert (seen.groups[team.pk].weight, seen.groups[team.pk].guarantee, seen.groups[course.pk].weight) == (3, 4, 1)


def test_how_long_labs_ran_is_learnt_from_those_that_ended_by_their_owner(lab_of: Any, alice: Any, charlie: Any, root_admin: Any, now: Any) -> None:
    for _ in range(5):
        _ended(_run(lab_of(alice, hours=4), now - 3 * HOUR), alice, now - 2 * HOUR)
    _ended(_run(lab_of(charlie, hours=4), now - 3 * HOUR), charlie, now - HOUR)
    _ended(_run(lab_of(alice, hours=4), now - 3 * HOUR), root_admin, now)
    lab_of(alice)
    lab_of(charlie)
    seen = snapshot_load(now=now)
    assert seen.people[alice.pk].runs == (pytest.approx(0.25),) * 5
    assert (seen.people[charlie.pk].runs, len(seen.runs)) == ((), 6), "one lab says little of a person"


# ------------------------------------------------------------------ cost


def _crowd(count: int, image: Image, team: Group, now: Any) -> None:
    """So many people of the team, each with a waiting lab."""
    people = User.objects.bulk_create(
        User(username=f"p{n}", email=f"p{n}@example.edu", display_name=f"P{n}", role=Role.RESEARCHER, uid=40000 + n, passes_not_before=now)
        for n in range(count)
    )
    Membership.objects.bulk_create(Membership(user=user, group=team) for user in people)
    sizes = {"image": image, "gpus": 1, "cpus": 2, "memory_mib": 4096, "shm_mib": 2048, "pids": 512, "hours": 4}
    Lab.objects.bulk_create(Lab(owner=user, name="lab", requested_at=now, state_since=now, **sizes) for user in people)


def test_a_longer_queue_takes_no_more_queries(image: Image, node: Node, team: Group, now: Any) -> None:
    _crowd(3, image, team, now)
    with CaptureQueriesContext(connection) as few:
        assert len(snapshot_load(now=now).waiting) == 3
    Lab.objects.all().delete()
    User.objects.filter(username__startswith="p").delete()
    _crowd(60, image, team, now)
    with CaptureQueriesContext(connection) as many:
        assert len(snapshot_load(now=now).waiting) == 60
    assert len(many) <= len(few) <= MOST_QUERIES


def test_leases_of_people_who_hold_nothing_cost_nothing(lab_of: Any, alice: Any, now: Any) -> None:
    _ended(_run(lab_of(alice, gpus=1), now - 90 * DAY, CARDS[0]), alice, now - 80 * DAY)
    assert usage_decayed(now=now) == {} and Lease.objects.count() == 1


def test_hours_that_the_database_adds_up_are_those_of_the_clock(lab_of: Any, alice: Any, now: Any) -> None:
    lab, since = lab_of(alice), (now - 7 * DAY).replace(microsecond=0)
    ended = [(since - HOUR, since + HOUR / 2), (since + DAY, since + DAY + HOUR / 3), (since - 2 * DAY, since - DAY), (since - HOUR, since)]
    Lease.objects.bulk_create(Lease(lab=lab, gpu_id=CARDS[0], attempt=1, opened_at=opened, closed_at=closed) for opened, closed in ended)
    Lease.objects.create(lab=lab, gpu_id=CARDS[0], attempt=1, opened_at=now - HOUR / 4)
    Lease.objects.create(lab=lab, gpu_id=CARDS[1], attempt=1, opened_at=now + HOUR)
    assert gpu_hours_since(user_ids=[alice.pk], since=since, now=now)[alice.pk] == pytest.approx(1 / 2 + 1 / 3 + 1 / 4)
