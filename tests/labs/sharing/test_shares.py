"""Who may enter which port of whose lab, for how long; and what nobody may share."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import override_settings

from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.notices.models import Notice
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.sharing.models import Share
from labs.sharing.queries import app_shared_with, guests_now, shares_of, shares_with
from labs.sharing.services import share_create, share_withdraw

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's running lab."""
    return running(lab_of(alice), now)


@pytest.fixture
def share(lab: Lab, alice: User, now: datetime) -> Callable[..., Share]:
    """Share port 8080 for an hour."""
    return lambda **how: share_create(**({"lab": lab, "port": 8080, "name": "Demo", "hours": 1, "actor": alice, "now": now} | how))


def running(lab: Lab, now: datetime) -> Lab:
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[], now=now)
    assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    return Lab.objects.select_related("owner", "node").get(pk=lab.pk)


def test_a_named_person_may_enter_that_port_and_nothing_else_until_the_time_is_over(
    share: Callable[..., Share], lab: Lab, bob: User, charlie: User, now: datetime
) -> None:
    share(email="BOB@example.edu")
    assert guests_now(now=now) == {(lab.pk, 8080): frozenset({bob.pk})}
    assert app_shared_with(user=bob, lab_id=lab.pk, port=8080, now=now) == lab
    assert app_shared_with(user=bob, lab_id=lab.pk, port=8081, now=now) is None
    assert app_shared_with(user=charlie, lab_id=lab.pk, port=8080, now=now) is None
    assert guests_now(now=now + HOUR) == {}
    assert app_shared_with(user=bob, lab_id=lab.pk, port=8080, now=now + HOUR) is None


def test_a_team_is_everybody_in_it_now(share: Callable[..., Share], lab: Lab, alice: User, bob: User, charlie: User, team: Group, now: datetime) -> None:
    share(group=team)
    assert guests_now(now=now) == {(lab.pk, 8080): frozenset({alice.pk, bob.pk})}
    assert [one.lab_id for one in shares_with(user=bob, now=now)] == [lab.pk]
    assert not shares_with(user=alice, now=now) and not shares_with(user=charlie, now=now)
    bob.memberships.all().delete()
    assert not shares_with(user=bob, now=now)
    assert guests_now(now=now) == {(lab.pk, 8080): frozenset({alice.pk})}


def test_withdrawn_it_opens_nothing_any_more_and_both_stand_in_the_audit_log(
    share: Callable[..., Share], lab: Lab, alice: User, bob: User, now: datetime
) -> None:
    made = share(email=bob.email)
    assert share_withdraw(lab=lab, share_id=made.pk, actor=alice, now=now)
    assert not share_withdraw(lab=lab, share_id=made.pk, actor=alice, now=now)
    assert guests_now(now=now) == {} and shares_of(lab=lab, now=now) == []
    kinds = Event.objects.filter(subject=lab.subject, kind__startswith="share.").values_list("kind", flat=True)
    assert sorted(kinds) == ["share.made", "share.withdrawn"]


def test_shared_again_the_time_counts_anew_and_there_is_one_share(share: Callable[..., Share], lab: Lab, bob: User, now: datetime) -> None:
    share(email=bob.email)
    again = share(email=bob.email, hours=8)
    assert [one.pk for one in shares_of(lab=lab, now=now)] == [again.pk]
    assert again.until == now + 8 * HOUR


def test_when_the_lab_does_not_run_nobody_enters(share: Callable[..., Share], lab: Lab, bob: User, now: datetime) -> None:
    share(email=bob.email)
    Lab.objects.filter(pk=lab.pk).update(state="stopping")
    assert guests_now(now=now) == {} and not shares_with(user=bob, now=now)


def test_the_guest_is_told(share: Callable[..., Share], bob: User) -> None:
    share(email=bob.email)
    assert Notice.objects.get(user=bob).kind == "shared"


@pytest.mark.parametrize("wrong", [{"port": 8888}, {"port": 2222}, {"port": 80}, {"port": 70000}, {"hours": 0}, {"hours": 10_000}, {"email": ""}])
def test_ports_of_the_house_and_odd_times_are_refused(share: Callable[..., Share], bob: User, wrong: dict[str, object]) -> None:
    with pytest.raises(Refused):
        share(**({"email": bob.email} | wrong))
    assert not Share.objects.exists()


def test_nobody_shares_anothers_lab_not_even_an_administrator(share: Callable[..., Share], bob: User, root_admin: User) -> None:
    for actor in (bob, root_admin):
        with pytest.raises(Refused):
            share(email=bob.email, actor=actor)


def test_unknown_and_disabled_people_oneself_and_teams_of_others_are_refused(
    share: Callable[..., Share], alice: User, bob: User, team: Group, root_admin: User, now: datetime
) -> None:
    bob.is_active = False
    bob.save()
    other = Group.objects.create(kind="team", name="Others", slug="others", parent=team.parent)
    assert team.parent
    for guest in ({"email": "nobody@example.edu"}, {"email": bob.email}, {"email": alice.email}, {"group": other}, {"group": team.parent}):
        with pytest.raises(Refused):
            share(**guest)


def test_where_labs_share_one_address_nothing_is_shared(share: Callable[..., Share], bob: User) -> None:
    with override_settings(LABS_ORIGIN="single"), pytest.raises(Refused):
        share(email=bob.email)
