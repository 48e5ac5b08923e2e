"""Who is told what, until when, and by which ways."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labs.announcements.models import Announcement
from labs.announcements.queries import announcements_for, announcements_standing, announcements_untold, labs_to_tell
from labs.announcements.services import announcement_make, announcement_told, announcement_withdraw
from labs.fleet.models import Node
from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_ready
from labs.notices.models import Delivery, Notice
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.people.services import person_create

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
Make = Callable[..., Announcement]


@pytest.fixture
def make(root_admin: User, now: datetime) -> Make:
    """Announce something for an hour."""
    return lambda words="Save your work.", **how: announcement_make(**({"words": words, "until": now + HOUR, "actor": root_admin, "now": now} | how))


def told(user: User, now: datetime) -> list[str]:
    return [one.words for one in announcements_for(user=user, standing=announcements_standing(now=now))]


def test_everybody_is_told_until_the_moment_and_not_after(make: Make, alice: User, charlie: User, now: datetime) -> None:
    make()
    assert told(alice, now) == told(charlie, now) == ["Save your work."]
    assert told(alice, now + HOUR) == []


def test_a_groups_announcement_is_for_those_in_and_below_it(make: Make, alice: User, charlie: User, team: Group, now: datetime) -> None:
    assert team.parent
    make(group=team.parent)
    assert told(alice, now) and not told(charlie, now)


def test_a_nodes_announcement_is_for_those_with_labs_on_it(
    make: Make, alice: User, bob: User, node: Node, lab_of: Callable[..., Lab], root_admin: User, now: datetime
) -> None:
    lab = lab_of(alice)
    assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
    make(node=node)
    assert told(alice, now) and told(root_admin, now) and not told(bob, now)


def test_withdrawn_it_is_shown_to_nobody_and_both_stand_in_the_audit_log(make: Make, alice: User, root_admin: User, now: datetime) -> None:
    made = make()
    assert announcement_withdraw(announcement_id=made.pk, actor=root_admin, now=now)
    assert not announcement_withdraw(announcement_id=made.pk, actor=root_admin, now=now)
    assert told(alice, now) == []
    assert set(Event.objects.filter(subject=f"announcement:{made.pk}").values_list("kind", flat=True)) == {"announcement.made", "announcement.withdrawn"}


def test_only_an_administrator_announces_and_withdraws(make: Make, alice: User, now: datetime) -> None:
    with pytest.raises(Refused):
        make(actor=alice)
    made = make()
    with pytest.raises(Refused):
        announcement_withdraw(announcement_id=made.pk, actor=alice, now=now)


@pytest.mark.parametrize("wrong", [{"words": "  "}, {"words": "a \x1b[2Jb"}, {"until": datetime.min}, {"until": datetime.max}])
def test_empty_words_escapes_for_terminals_and_odd_moments_are_refused(make: Make, now: datetime, wrong: dict[str, object]) -> None:
    wrong = {key: value.replace(tzinfo=now.tzinfo) if isinstance(value, datetime) else value for key, value in wrong.items()}
    with pytest.raises(Refused):
        make(**wrong)


def test_as_a_message_it_reaches_each_person_of_the_audience_once(make: Make, alice: User, bob: User, charlie: User, team: Group) -> None:
    make(group=team, by_notice=True)
    assert set(Notice.objects.values_list("user", flat=True)) == {alice.pk, bob.pk}


def test_a_message_to_many_takes_no_more_queries_than_one_to_few(make: Make, team: Group, alice: User, bob: User, settings: Any, now: datetime) -> None:
    settings.HAS_MAIL = True
    with CaptureQueriesContext(connection) as few:
        make(group=team, by_notice=True)
    for number in range(20):
        person_create(email=f"many{number}@example.edu", display_name="Many", role="student", group=team, actor=None, now=now)
    with CaptureQueriesContext(connection) as many:
        make(group=team, by_notice=True)
    assert Notice.objects.count() == 2 + 22
    assert Delivery.objects.count() == 24 and len(many) <= len(few)


def test_the_terminals_of_a_node_hear_it_once_and_only_those_whom_it_concerns(
    make: Make, alice: User, charlie: User, team: Group, node: Node, lab_of: Callable[..., Lab], now: datetime
) -> None:
    labs = [lab_of(alice), lab_of(charlie)]
    for lab in labs:
        assert lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=now)
        assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=now)
    made = make(group=team, to_terminals=True)
    make("On the pages alone.")
    assert announcements_untold(node_id=node.pk, now=now) == [made]
    assert [lab.owner_id for lab in labs_to_tell(announcement=made, node_id=node.pk)] == [alice.pk]
    assert announcement_told(announcement=made, node_id=node.pk, terminals=2, now=now)
    assert not announcement_told(announcement=made, node_id=node.pk, terminals=2, now=now)
    assert announcements_untold(node_id=node.pk, now=now) == []
