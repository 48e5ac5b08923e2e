"""The usage page and its files: whose figures, for whom, and without a formula for a spreadsheet."""

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.fleet.models import Gpu
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end, lab_gone, lab_ready
from labs.people.models import Group, Membership, User
from labs.people.services import group_create, person_create
from labs.telemetry.models import GpuHour, LabMinute

PAGE, FILE = reverse("usage"), reverse("usage_csv")
HOUR = timedelta(hours=1)
Ask = Callable[..., Lab]


@pytest.fixture
def past(alice: User, bob: User, lab_of: Ask, now: datetime) -> dict[str, Lab]:
    """alice has held a card for three hours, bob for one."""
    made = {}
    for owner, hours, ago in ((alice, 3, 9), (bob, 1, 4)):
        lab, start = lab_of(owner, gpus=1, name=f"of-{owner.display_name.lower()}"), now - ago * HOUR
        card = Gpu.objects.get(index=0)
        Lab.objects.filter(pk=lab.pk).update(requested_at=start - timedelta(minutes=5))
        assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=[card.pk], now=start)
        assert lab_ready(lab_id=lab.pk, attempt=1, verified={}, not_held=[], now=start)
        for minute in range(10):
            use = {"cards": 1, "cards_idle": 1, "gpu_pct_sum": 2.0, "gpu_pct_max": 4, "gpu_memory_mib_max": 2048}
            LabMinute.objects.create(lab=lab, minute=start + timedelta(minutes=minute), memory_mib_max=900, **use)
        lab_end(lab_id=lab.pk, code="asked", now=start + hours * HOUR)
        lab_gone(lab_id=lab.pk, now=start + hours * HOUR)
        GpuHour.objects.create(gpu=card, hour=start.replace(minute=0, second=0, microsecond=0), minutes=60, gpu_pct_avg=40.0)
        made[owner.display_name] = lab
    return made


def rows_of(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode())))


@pytest.mark.django_db
def test_a_stranger_sees_no_figures(client: Client):
    assert [client.get(url).status_code for url in (PAGE, FILE)] == [302, 302]


def test_a_person_sees_their_own_hours_and_what_their_labs_made_of_them(as_alice: Client, past: dict[str, Lab]):
    page = as_alice.get(PAGE).content.decode()
    assert '<div class="stat num">3.0</div>' in page
    assert "of-alice" in page
    assert "of-bob" not in page
    assert "GPU 2% busy, 2 of 140 GiB" in page


def test_somebody_without_labs_is_told_what_to_do(as_charlie: Client, past: dict[str, Lab]):
    page = as_charlie.get(PAGE).content.decode()
    assert "No GPU was used in these days" in page
    assert reverse("launch") in page


def test_a_team_is_a_sum_without_names(as_bob: Client, team: Group, past: dict[str, Lab]):
    page = as_bob.get(PAGE, {"of": f"group-{team.pk}"}).content.decode()
    assert '<div class="stat num">4.0</div>' in page
    assert "Alice" not in page
    assert "of-alice" not in page


def test_what_somebody_may_not_see_is_not_there(as_alice: Client, as_charlie: Client, team: Group, bob: User, past: dict[str, Lab]):
    for browser, of in ((as_charlie, f"group-{team.pk}"), (as_alice, "house"), (as_alice, f"person-{bob.pk}"), (as_alice, "group-abc"), (as_alice, "x" * 300)):
        assert [browser.get(url, {"of": of}).status_code for url in (PAGE, FILE)] == [404, 404]


def test_an_administrator_sees_the_house_its_cards_and_its_people(as_root: Client, past: dict[str, Lab], bob: User):
    page = as_root.get(PAGE, {"of": "house"}).content.decode()
    assert "Alice" in page
    assert f"?of=person-{bob.pk}" in page
    assert 'class="heat-4"' in page
    assert '<div class="stat num">1.0</div>' in as_root.get(PAGE, {"of": f"person-{bob.pk}"}).content.decode()


@pytest.mark.parametrize(
    "query", [{"days": "9999999999999999999999"}, {"days": "-1"}, {"days": "x"}, {"by": "month"}, {"days": "365", "by": "week"}, {"days": "7"}]
)
def test_nonsense_in_the_address_counts_as_not_said(as_alice: Client, past: dict[str, Lab], query: dict[str, str]):
    assert as_alice.get(PAGE, query).status_code == 200


def test_the_file_has_the_rows_of_the_page(as_alice: Client, past: dict[str, Lab]):
    answer = as_alice.get(FILE, {"days": 7})
    assert answer["Content-Disposition"] == 'attachment; filename="gpulab-usage-me.csv"'
    head, *rows = rows_of(answer)
    assert len(rows) == 7
    assert sum(float(row[head.index("gpu_hours")]) for row in rows) == pytest.approx(3, abs=0.01)


def test_only_who_may_see_people_gets_a_file_of_them_without_formulas(as_root: Client, as_bob: Client, team: Group, past: dict[str, Lab], bob: User):
    User.objects.filter(pk=bob.pk).update(display_name='=HYPERLINK("x")')
    asked = {"of": f"group-{team.pk}", "people": 1}
    assert rows_of(as_bob.get(FILE, asked))[0][0] == "from"
    people = rows_of(as_root.get(FILE, asked))
    assert [row[0] for row in people] == ["person", "Alice", '\'=HYPERLINK("x")']


def test_a_teacher_sees_who_used_what_in_their_course_and_follows_nobody_further(
    client: Client, root_admin: User, team: Group, bob: User, past: dict[str, Lab], now: datetime
):
    course = group_create(kind="course", name="Vision 101", slug="v101", parent=team.parent, actor=root_admin, now=now)
    Membership.objects.create(user=bob, group=course)
    client.force_login(person_create(email="tess@example.edu", display_name="Tess", role="teacher", group=course, actor=None, now=now, password=None))
    page = client.get(PAGE, {"of": f"group-{course.pk}"}).content.decode()
    assert "Bob" in page
    assert "?of=person-" not in page
    assert client.get(PAGE, {"of": f"person-{bob.pk}"}).status_code == 404
