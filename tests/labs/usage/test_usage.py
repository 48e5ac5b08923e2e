"""Usage from leases and telemetry, who may see it, the heat map, and the Monday message."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.test.utils import CaptureQueriesContext

from labs.fleet.models import Gpu, Node
from labs.lifecycle.models import Lab, Lease
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_ready
from labs.notices.models import Notice
from labs.people.models import Group, Membership, User
from labs.people.services import group_create, person_create
from labs.telemetry.hours import hours_roll
from labs.telemetry.models import GpuHour, LabMinute
from labs.usage.digest import digests_queue
from labs.usage.queries import efficiency_for, first_day, heat_of, usage_of
from labs.usage.scopes import scope_for_viewer, scopes_for_viewer

MONDAY = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
HOUR = timedelta(hours=1)
Ask = Callable[..., Lab]


@pytest.fixture
def lab_at(lab_of: Ask) -> Ask:
    """A lab that held cards: `lab_at(alice, NOON, hours=3, gpus=1)`; its request is 10 minutes older."""

    def make(owner: User, at: datetime, *, hours: float, gpus: int = 1, busy: float = 80.0) -> Lab:
        lab = lab_of(owner, gpus=gpus)
        free = list(Gpu.objects.exclude(leases__closed_at=None, leases__isnull=False).order_by("index").values_list("pk", flat=True))[:gpus]
        Lab.objects.filter(pk=lab.pk).update(requested_at=at - timedelta(minutes=10))
        assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=free, now=at)
        assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=at)
        for minute in range(0, int(hours * 60), 30):
            use = {"cards": gpus, "cards_idle": gpus if busy < 5 else 0, "gpu_pct_sum": busy * gpus, "gpu_pct_max": round(busy), "gpu_memory_mib_max": 2048}
            LabMinute.objects.create(lab=lab, minute=at + timedelta(minutes=minute), memory_mib_max=800, **use)
        end = at + hours * HOUR
        lab_end(lab_id=lab.pk, code="asked", now=end)
        lab_gone(lab_id=lab.pk, now=end)
        return Lab.objects.get(pk=lab.pk)

    return make


@pytest.fixture
def course(root_admin: User, team: Group, bob: User, now: datetime) -> Group:
    """A course of bob's."""
    made = group_create(kind="course", name="Vision 101", slug="v101", parent=team.parent, actor=root_admin, now=now)
    Membership.objects.create(user=bob, group=made)
    return made


@pytest.fixture
def teacher(course: Group, now: datetime) -> User:
    """The course's teacher."""
    return person_create(email="tess@example.edu", display_name="Tess", role="teacher", group=course, actor=None, now=now, password=None)


def of(viewer: User, code: str = "me", *, days: int = 7, weeks: bool = False, until: datetime = NOON + timedelta(days=2)) -> Any:
    return usage_of(
        scope=scope_for_viewer(viewer=viewer, code=code, administers=viewer.is_administrator), first=first_day(days=days, now=until), weeks=weeks, until=until
    )


def test_a_persons_days_are_their_leases(alice: User, bob: User, lab_at: Ask):
    lab_at(alice, NOON + 10 * HOUR, hours=4)
    lab_at(bob, NOON, hours=5)
    usage = of(alice, days=3)
    assert [(row.start, row.gpu_hours) for row in usage.rows] == [(date(2026, 3, 2), 2.0), (date(2026, 3, 3), 2.0), (date(2026, 3, 4), 0.0)]
    assert (usage.total.gpu_hours, usage.total.labs, usage.total.wait_median_s, usage.total.gpus_peak) == (4.0, 1, 600.0, 1.0)
    assert (usage.total.busy.idle_share, usage.total.busy.memory_mib_max) == (0.0, 800)
    assert usage.people == []


def test_the_figures_are_the_same_before_and_after_the_minutes_became_hours(alice: User, lab_at: Ask):
    lab_at(alice, NOON, hours=3, busy=80)
    lab_at(alice, NOON + 5 * HOUR, hours=2, busy=0)
    before = of(alice)
    assert before.total.busy.idle_share == pytest.approx(0.4)
    hours_roll(now=NOON + 6 * HOUR)  # some are rolled up
    assert of(alice).total == before.total
    hours_roll(now=NOON + timedelta(days=1))
    LabMinute.objects.all().delete()
    assert of(alice).total == before.total


def test_a_week_is_one_row(alice: User, lab_at: Ask):
    lab_at(alice, NOON, hours=3)
    lab_at(alice, NOON - timedelta(days=3), hours=1)
    usage = of(alice, weeks=True, days=6)
    assert [(row.start, row.gpu_hours) for row in usage.rows] == [(date(2026, 2, 23), 1.0), (date(2026, 3, 2), 3.0)]


def test_a_team_is_the_sum_of_its_members_without_names(alice: User, bob: User, charlie: User, team: Group, lab_at: Ask):
    lab_at(alice, NOON, hours=3)
    lab_at(bob, NOON + 4 * HOUR, hours=1)
    lab_at(charlie, NOON + 6 * HOUR, hours=9)
    usage = of(bob, f"group-{team.pk}")
    assert usage.total.gpu_hours == 4.0
    assert usage.people == []
    assert of(bob, f"group-{team.pk}").scope.title == "Vision"


def test_an_organisation_holds_the_people_of_all_below_it(root_admin: User, alice: User, team: Group, lab_at: Ask):
    lab_at(alice, NOON, hours=3)
    assert of(root_admin, f"group-{team.parent_id}").total.gpu_hours == 3.0


def test_a_teacher_sees_who_used_what_in_their_course(teacher: User, course: Group, alice: User, bob: User, lab_at: Ask):
    lab_at(bob, NOON, hours=2, busy=0)
    lab_at(alice, NOON + 3 * HOUR, hours=2)
    usage = of(teacher, f"group-{course.pk}")
    assert [(share.user, share.figures.gpu_hours, share.figures.labs, share.figures.busy.idle_share) for share in usage.people] == [(bob, 2.0, 1, 1.0)]


def test_everybody_is_offered_what_they_may_see(alice: User, bob: User, charlie: User, teacher: User, root_admin: User, team: Group, course: Group):
    def codes(viewer: User) -> list[str]:
        return [code for code, _ in scopes_for_viewer(viewer=viewer, administers=viewer.is_administrator)]

    assert codes(alice) == ["me", f"group-{team.pk}"]
    assert codes(bob) == ["me", f"group-{team.pk}"]  # in the course, but not its teacher
    assert codes(charlie) == ["me"]
    assert codes(teacher) == ["me", f"group-{course.pk}"]
    assert set(codes(root_admin)) == {"me", "house", *(f"group-{group.pk}" for group in Group.objects.all())}


def test_what_somebody_may_not_see_does_not_exist(alice: User, bob: User, charlie: User, teacher: User, team: Group, course: Group):
    for viewer, code in (
        (charlie, f"group-{team.pk}"), (bob, f"group-{course.pk}"), (alice, "house"), (teacher, "house"), (teacher, f"group-{team.pk}"),
        (alice, f"person-{bob.pk}"), (teacher, f"person-{bob.pk}"), (alice, "group-"), (alice, "group-9999999999999999999999"), (alice, "nonsense"),
        (alice, "group-²"),
    ):  # fmt: skip
        with pytest.raises(ObjectDoesNotExist):
            scope_for_viewer(viewer=viewer, code=code, administers=viewer.is_administrator)


def test_an_administrator_sees_the_house_and_each_person(root_admin: User, alice: User, bob: User, lab_at: Ask):
    lab_at(alice, NOON, hours=3)
    lab_at(bob, NOON + 4 * HOUR, hours=1)
    assert [share.user for share in of(root_admin, "house").people] == [alice, bob]
    assert of(root_admin, f"person-{bob.pk}").total.gpu_hours == 1.0


def test_a_page_of_a_year_costs_as_many_queries_as_one_of_a_day(root_admin: User, alice: User, bob: User, lab_at: Ask, django_assert_max_num_queries: Any):
    for hours in range(6):
        lab_at(alice if hours % 2 else bob, NOON + 2 * hours * HOUR, hours=1)
    with django_assert_max_num_queries(10) as captured:
        of(root_admin, "house", days=365)
    assert isinstance(captured, CaptureQueriesContext)


def test_the_houses_heat_map_is_how_busy_each_card_is_by_the_hour(root_admin: User, node: Node):
    gpu = node.gpus.first()
    for day, busy in ((0, 100.0), (1, 50.0)):
        GpuHour.objects.create(gpu=gpu, hour=NOON + timedelta(days=day), minutes=60, gpu_pct_avg=busy)
    [row] = heat_of(usage=of(root_admin, "house"))
    assert row.gpu == gpu
    assert [(hour, cell) for hour, cell in enumerate(row.cells) if cell is not None] == [(12, 0.75)]


def test_a_persons_heat_map_is_when_they_held_each_card(alice: User, bob: User, lab_at: Ask):
    lab = lab_at(alice, NOON, hours=2)
    lab_at(bob, NOON + 4 * HOUR, hours=1)
    usage = of(alice, days=1, until=MONDAY + 24 * HOUR - timedelta(seconds=1))
    [row] = heat_of(usage=usage)
    assert row.gpu.pk == Lease.objects.get(lab=lab).gpu_id
    assert [(hour, round(cell or 0, 2)) for hour, cell in enumerate(row.cells) if cell] == [(12, 1.0), (13, 1.0)]


def test_an_ended_lab_has_its_line_at_once_and_a_live_one_has_none(alice: User, lab_of: Ask, lab_at: Ask):
    assert efficiency_for(lab=lab_of(alice)) is None
    found = efficiency_for(lab=lab_at(alice, NOON, hours=3, busy=10))
    assert found is not None
    assert found.line == "GPU 10% busy, 2 of 140 GiB"


def test_monday_tells_those_who_used_something_once(alice: User, bob: User, lab_at: Ask):
    lab_at(alice, NOON, hours=3, busy=2)
    lab_at(bob, NOON + timedelta(days=9), hours=1)
    monday = MONDAY + timedelta(days=7)
    assert digests_queue(now=monday + timedelta(hours=6)) == 0
    assert digests_queue(now=monday + timedelta(hours=7)) == 1
    assert digests_queue(now=monday + timedelta(hours=8)) == 0
    assert digests_queue(now=monday + timedelta(days=1, hours=8)) == 0
    notice = Notice.objects.get(kind="digest")
    assert (notice.user, notice.subject) == (alice, "Your week: 3.0 GPU-hours")
    assert "stood idle 100% of the time" in notice.words
    assert "your labs waited 10 min (median)" in notice.words
    assert "GPU 2% busy" in notice.words
    assert digests_queue(now=monday + timedelta(days=7, hours=9)) == 1


def test_monday_is_monday_in_the_zone_of_the_house(alice: User, lab_at: Ask, settings: Any):
    lab_at(alice, NOON, hours=3)
    settings.TIME_ZONE = "Asia/Shanghai"
    sunday_in_utc = MONDAY + timedelta(days=7) - timedelta(minutes=30)  # half past seven on Monday there
    assert digests_queue(now=sunday_in_utc) == 1
