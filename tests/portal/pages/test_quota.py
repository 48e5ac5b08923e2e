"""My quota, asking for more, and what administrators change after a preview."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labs.catalogue.models import Image
from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign
from labs.people.models import Group, User
from labs.people.services import person_create
from labs.policy.asking import request_create
from labs.policy.models import GroupLimits, LimitOverride, LimitWindow, QuotaRequest
from labs.policy.queries import limits_of, limits_of_role
from labs.policy.services import group_limits_set, override_set, window_add
from labs.storage.models import WorkspaceUse
from labs.storage.rules import GIB
from labs.storage.services import workspace_record
from tests.portal.pages.test_manage import row

pytestmark = pytest.mark.django_db
Ask = Callable[..., Lab]
CARDS = ["GPU-00000000-test", "GPU-00000001-test"]


@pytest.fixture
def as_teacher(team: Group, now: datetime) -> Client:
    """The browser of a teacher of alice's and bob's team."""
    teacher = person_create(email="tess@example.edu", display_name="Tess", role="teacher", group=team, actor=None, now=now)
    client = Client()
    client.force_login(teacher, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def asked(bob: User, now: datetime) -> QuotaRequest:
    """bob asks for three GPUs."""
    return request_create(user=bob, asked={"gpus_max": 3}, until=now + timedelta(days=7), why="Thesis", now=now)


@pytest.fixture
def holds_two(lab_of: Ask, alice: User, now: datetime) -> Lab:
    """alice runs a lab with both cards."""
    lab = lab_of(alice, gpus=2, name="big")
    assert lab_assign(lab_id=lab.pk, node_id="n1", gpu_uuids=CARDS, now=now)
    return lab


def _until(days: int = 7) -> str:
    return f"{timezone.localdate() + timedelta(days=days):%Y-%m-%d}"


def test_my_quota_tells_what_is_wider_what_my_groups_hold_and_what_was_granted(
    as_bob: Client, bob: User, team: Group, root_admin: User, holds_two: Lab, now: datetime
) -> None:
    group_limits_set(group=team, values={"gpus": 3}, actor=root_admin, now=now)
    window_add(values={"name": "for good", "limit": "labs", "plus": 2}, actor=root_admin, now=now)
    override_set(user=bob, values={"memory_gib": 64}, until=None, note="", actor=root_admin, now=now)
    page = as_bob.get(reverse("quota")).content.decode()
    for words in ("Team Vision, all members together", "4 instead of 2 (for good)", "Memory, GiB: 64", "an administrator", "Nothing so far"):
        assert words in page


def test_a_refused_wish_leads_to_asking_with_the_numbers_filled_in(as_bob: Client, image: Image, node: object) -> None:
    wish = {"image": image.pk, "gpus": 2, "cpus": 1, "memory_gib": 1, "hours": 20}
    for page in (as_bob.get(reverse("launch_verdict"), wish).content.decode(), as_bob.post(reverse("launch"), wish).content.decode()):
        assert "/quota/ask/?gpus_max=2&amp;hours_max=20" in page
    form = as_bob.get("/quota/ask/?gpus_max=2&hours_max=20&weight=9&labs=x").context["form"]
    assert (form["gpus_max"].value(), form["hours_max"].value(), form["labs"].value()) == ("2", "20", None)


def test_asking_granting_and_launching(as_bob: Client, as_teacher: Client, bob: User, image: Image, node: object) -> None:
    as_bob.post(reverse("quota_ask"), {"gpus_max": 2, "until": _until(), "why": "Thesis"})
    [(request, words)] = as_teacher.get(reverse("quota_requests")).context["asking"]
    assert words == "2 GPUs at once"
    as_teacher.post(reverse("quota_request", args=[request.pk]), {"gpus_max": 2, "until": _until(), "answer": "", "decision": "grant"})
    assert "Granted" in as_bob.get(reverse("quota")).content.decode()
    assert as_bob.post(reverse("launch"), {"image": image.pk, "gpus": 2, "cpus": 1, "memory_gib": 1, "hours": 1}).status_code == 302


def test_a_no_is_read_with_its_words(as_bob: Client, as_root: Client, asked: QuotaRequest) -> None:
    address = reverse("quota_request", args=[asked.pk])
    assert as_root.post(address, {"until": _until(), "answer": "", "decision": "decline"}).status_code == 422
    as_root.post(address, {"until": _until(), "answer": "All cards are promised.", "decision": "decline"})
    assert "All cards are promised." in as_bob.get(reverse("quota")).content.decode()
    assert "Grant it" not in as_root.get(address).content.decode()


@pytest.mark.parametrize("bad", [{"gpus_max": 1}, {"gpus_max": ""}, {"gpus_max": "x"}, {"until": ""}, {"until": "2001-01-01"}, {"why": ""}], ids=str)
def test_a_request_that_is_none_is_told_beside_its_field(as_bob: Client, bob: User, bad: dict[str, object]) -> None:
    answer = as_bob.post(reverse("quota_ask"), {"gpus_max": 2, "until": _until(), "why": "Thesis"} | bad)
    assert answer.status_code == 422 and answer.context["form"].errors
    assert not QuotaRequest.objects.exists()


def test_a_request_is_withdrawn_by_nobody_else(as_bob: Client, as_alice: Client, asked: QuotaRequest) -> None:
    address = reverse("quota_withdraw", args=[asked.pk])
    assert as_alice.post(address).status_code == 404
    as_bob.post(address)
    asked.refresh_from_db()
    assert asked.state == "withdrawn"


def test_a_teacher_answers_for_their_people_and_others_for_nobody(
    as_teacher: Client, as_alice: Client, as_bob: Client, charlie: User, asked: QuotaRequest, now: datetime
) -> None:
    stranger = request_create(user=charlie, asked={"gpus_max": 9}, until=now + timedelta(days=1), why="Mine", now=now)
    assert "1 request to answer" in as_teacher.get(reverse("quota")).content.decode()
    assert "to answer" not in as_alice.get(reverse("quota")).content.decode()
    assert as_teacher.get(reverse("quota_request", args=[asked.pk])).status_code == 200
    assert as_teacher.get(reverse("quota_request", args=[stranger.pk])).status_code == 404
    for client in (as_alice, as_bob):
        assert client.get(reverse("quota_request", args=[asked.pk])).status_code == 404
        assert client.get(reverse("quota_requests")).status_code == 403
        answer = client.post(reverse("quota_request", args=[asked.pk]), {"gpus_max": 3, "until": _until(), "decision": "grant"})
        assert answer.status_code == 404
    assert not LimitOverride.objects.exists()


def test_the_columns_of_the_role_table_are_those_of_its_head(as_root: Client) -> None:
    page = as_root.get(reverse("manage_quotas"))
    for _, label, form in page.context["role_forms"]:
        assert [field.label for field in form] == list(page.context["words"].values()), label


def test_a_change_by_which_somebody_would_be_over_is_shown_first_and_saved_on_the_second_click(as_root: Client, alice: User, holds_two: Lab) -> None:
    sent = row("researcher", gpus=1, gpus_max=1)
    page = as_root.post(reverse("manage_quotas"), sent)
    assert limits_of_role(role="researcher")["gpus_max"] == 4, "nothing is saved yet"
    text = page.content.decode()
    for words in ("1 person would be over", "Alice", "holds 2 of 1 GPUs", "(1 over)", "Nothing that runs is stopped"):
        assert words in text
    again = dict(page.context["pending"].fields)
    assert {name: str(value) for name, value in sent.items()} == again
    as_root.post(page.context["pending"].action, again | {"confirm": "yes"})
    assert limits_of_role(role="researcher")["gpus_max"] == 1
    event = Event.objects.get(kind="quota.role")
    assert (event.fact["before"]["gpus_max"], event.fact["after"]["gpus_max"]) == (4, 1)
    holds_two.refresh_from_db()
    assert holds_two.target == "running"


def test_a_change_by_which_nobody_is_over_is_saved_at_once(as_root: Client, alice: User, holds_two: Lab) -> None:
    page = as_root.post(reverse("manage_quotas"), row("researcher", gpus_max=3), follow=True).content.decode()
    assert "Nobody is over." in page and limits_of_role(role="researcher")["gpus_max"] == 3


def test_the_page_says_what_the_row_would_do_while_it_is_typed(as_root: Client, alice: User, holds_two: Lab) -> None:
    preview = reverse("manage_quotas_preview")
    assert "1 person would be over" in as_root.get(preview, row("researcher", gpus=1, gpus_max=1)).content.decode()
    assert "nobody would be over" in as_root.get(preview, row("researcher", gpus_max=9)).content.decode()
    assert "nothing changes" in as_root.get(preview, row("researcher")).content.decode()
    assert "whole numbers" in as_root.get(preview, row("researcher", cpus="x")).content.decode()
    assert limits_of_role(role="researcher")["gpus_max"] == 4


def test_the_waiting_labs_that_a_change_shuts_out_are_listed_and_nothing_is_saved_unasked(as_root: Client, alice: User, lab_of: Ask) -> None:
    lab_of(alice, gpus=2, name="patient")
    seen = as_root.get(reverse("manage_quotas_preview"), row("researcher", gpus=1, gpus_max=1)).content.decode()
    assert "1 waiting lab could not start any more" in seen and "patient" in seen and "nobody would be over" in seen
    page = as_root.post(reverse("manage_quotas"), row("researcher", gpus=1, gpus_max=1)).content.decode()
    assert "Not saved yet" in page and "patient" in page and limits_of_role(role="researcher")["gpus_max"] == 4
    as_root.post(reverse("manage_quotas"), row("researcher", gpus=1, gpus_max=1) | {"confirm": "yes"})
    assert limits_of_role(role="researcher")["gpus_max"] == 1 and Lab.objects.get(name="patient").state == "queued"


def test_a_cap_of_a_group_lists_the_waiting_labs_that_are_larger(
    as_root: Client, alice: User, team: Group, root_admin: User, lab_of: Ask, now: datetime
) -> None:
    group_limits_set(group=team, values={"gpus": 4}, actor=root_admin, now=now)
    lab_of(alice, gpus=2, name="patient")
    page = as_root.post(reverse("manage_group_caps", args=[team.pk]), {"weight": 1, "gpus": 1}).content.decode()
    assert "patient" in page and "asks for 2 of 1 GPUs" in page and GroupLimits.objects.get().gpus == 4


def test_an_exception_that_narrows_is_previewed_too(as_root: Client, alice: User, holds_two: Lab) -> None:
    sent = {"person": alice.pk, "gpus": 1, "gpus_max": 1}
    page = as_root.post(reverse("manage_override"), sent)
    assert "holds 2 of 1 GPUs" in page.content.decode() and not LimitOverride.objects.exists()
    as_root.post(reverse("manage_override"), sent | {"confirm": "yes"})
    assert limits_of(user=alice, now=timezone.now()).gpus_max == 1


def test_an_exception_whose_end_leaves_somebody_over_is_previewed(as_root: Client, bob: User, lab_of: Ask, root_admin: User, now: datetime) -> None:
    exception = override_set(user=bob, values={"gpus_max": 2}, until=None, note="", actor=root_admin, now=now)
    assert lab_assign(lab_id=lab_of(bob, gpus=2).pk, node_id="n1", gpu_uuids=CARDS, now=now)
    address = reverse("manage_override_clear", args=[exception.pk])
    assert "holds 2 of 1 GPUs" in as_root.post(address).content.decode() and LimitOverride.objects.exists()
    as_root.post(address, {"confirm": "yes"})
    assert not LimitOverride.objects.exists()


def test_a_grant_is_ended_early_and_a_standing_exception_stays(as_root: Client, as_teacher: Client, bob: User, asked: QuotaRequest, now: datetime) -> None:
    as_root.post(reverse("manage_override"), {"person": bob.pk, "labs": 5})
    as_root.post(reverse("quota_request", args=[asked.pk]), {"gpus_max": 3, "until": _until(), "answer": "", "decision": "grant"})
    as_root.post(reverse("manage_override_clear", args=[LimitOverride.objects.get(request=asked).pk]))
    limits = limits_of(user=bob, now=timezone.now())
    assert (limits.gpus_max, limits.labs) == (1, 5)


def test_caps_of_a_group_are_added_previewed_saved_and_removed(as_root: Client, alice: User, team: Group, holds_two: Lab) -> None:
    as_root.post(reverse("manage_group_add"), {"group": team.pk})
    address = reverse("manage_group_caps", args=[team.pk])
    page = as_root.post(address, {"weight": 1, "gpus": 1})
    assert "all together would hold 2 of 1 GPUs, 1 over" in page.content.decode() and GroupLimits.objects.get().gpus is None
    as_root.post(address, {"weight": 1, "gpus": 1, "confirm": "yes"})
    assert GroupLimits.objects.get().gpus == 1
    assert as_root.post(address, {"weight": 0, "gpus": 1}).status_code == 422
    assert as_root.post(address, {"weight": 1, "gpus": 1, "guarantee": 2, "confirm": "yes"}).status_code == 422
    as_root.post(reverse("manage_group_clear", args=[team.pk]))
    assert not GroupLimits.objects.exists()


def test_a_window_is_added_and_removed(as_root: Client, bob: User, lab_of: Ask, now: datetime) -> None:
    window = {"name": "always", "limit": "gpus_max", "times": "2", "plus": 0, "days": list("0123456"), "start": "00:00", "end": "00:00", "below": ""}
    as_root.post(reverse("manage_window_add"), window | {"role": "student", "group": ""})
    assert limits_of(user=bob, now=now).gpus_max == 2
    assert lab_assign(lab_id=lab_of(bob, gpus=2).pk, node_id="n1", gpu_uuids=CARDS, now=now)
    address = reverse("manage_window_remove", args=[LimitWindow.objects.get().pk])
    assert "holds 2 of 1 GPUs" in as_root.post(address).content.decode()
    as_root.post(address, {"confirm": "yes"})
    assert not LimitWindow.objects.exists()


@pytest.mark.parametrize("bad", [{"days": []}, {"times": "1"}, {"times": "0.5"}, {"start": "25:00"}, {"below": 101}, {"limit": "gpus"}, {"name": ""}], ids=str)
def test_a_window_that_cannot_be_is_told(as_root: Client, bad: dict[str, object]) -> None:
    window = {"name": "n", "limit": "gpus_max", "times": "2", "plus": 0, "days": list("01"), "start": "20:00", "end": "07:00"}
    assert as_root.post(reverse("manage_window_add"), window | bad).status_code == 422
    assert not LimitWindow.objects.exists()


@pytest.mark.parametrize("name", ["manage_quotas_preview", "manage_group_add", "manage_window_add", "manage_people_csv", "manage_people_role"])
def test_only_administrators_change_quotas(as_teacher: Client, as_alice: Client, client: Client, name: str) -> None:
    for browser, status in ((as_teacher, 403), (as_alice, 403), (client, 302)):
        method = browser.get if name in ("manage_quotas_preview", "manage_people_csv") else browser.post
        assert method(reverse(name)).status_code == status


def test_a_request_is_among_what_needs_a_hand(as_root: Client, asked: QuotaRequest) -> None:
    matters = as_root.get(reverse("manage")).context["matters"]
    assert ("1 person asks for more than they may have.", "/manage/quotas/#requests") in [(matter.words, matter.url) for matter in matters]
    assert [row for row, _ in as_root.get(reverse("manage_quotas")).context["asking"]] == [asked]


def test_my_quota_tells_what_my_workspace_holds_and_what_to_do_when_it_is_over(as_bob: Client, bob: User, node: object, now: datetime) -> None:
    assert "Nothing is measured yet" in as_bob.get(reverse("quota")).content.decode()
    workspace_record(owner_id=bob.pk, node_id="n1", size=18 * GIB, files=1234, whole=True, now=now - timedelta(minutes=5))
    page = as_bob.get(reverse("quota")).content.decode()
    for words in ("of 50 GiB", "18 GiB in 1,234 files and folders", "5 min ago", "Measure again now"):
        assert words in page
    workspace_record(owner_id=bob.pk, node_id="n1", size=55 * GIB, files=1234, whole=False, now=now)
    page = as_bob.get(reverse("quota_holding")).content.decode()
    for words in (
        "Your workspace holds 55 of your 50 GiB: delete 5 GiB first",
        "/quota/ask/?disk_gib=55",
        "at least 55 GiB",
        "not everything could be counted",
    ):
        assert words in page


def test_measuring_again_is_asked_of_the_node_once_and_only_for_my_own(
    as_bob: Client, as_alice: Client, alice: User, bob: User, node: object, now: datetime
) -> None:
    for user in (alice, bob):
        workspace_record(owner_id=user.pk, node_id="n1", size=1, files=1, whole=True, now=now - timedelta(hours=1))
    assert "is being measured" in as_bob.post(reverse("quota_measure"), follow=True).content.decode()
    asked = dict(WorkspaceUse.objects.values_list("owner_id", "asked_at"))
    assert asked[bob.pk] is not None and asked[alice.pk] is None
    WorkspaceUse.objects.update(measured_at=timezone.now())
    assert "measured a few seconds ago" in as_bob.post(reverse("quota_measure"), follow=True).content.decode()
    assert as_bob.get(reverse("quota_measure")).status_code == 405


def test_an_administrator_caps_a_groups_workspaces_and_sees_everybodys_beside_their_limit(
    as_root: Client, as_bob: Client, bob: User, team: Group, root_admin: User, node: object, now: datetime
) -> None:
    workspace_record(owner_id=bob.pk, node_id="n1", size=60 * GIB, files=1, whole=True, now=now)
    group_limits_set(group=team, values={"weight": 1}, actor=root_admin, now=now)
    sent = {"weight": 1, "disk_gib": 40}
    asked = as_root.post(reverse("manage_group_caps", args=[team.pk]), sent).content.decode()
    assert "Not saved yet" in asked and "GiB of workspace" in asked and "Bob" in asked
    as_root.post(reverse("manage_group_caps", args=[team.pk]), sent | {"confirm": "yes"})
    assert GroupLimits.objects.get(pk=team.pk).disk_gib == 40
    assert '<span class="strong bad">60</span>' in as_root.get(reverse("manage_quotas")).content.decode()
    page = as_bob.get(reverse("quota")).content.decode()
    assert "Workspaces" in page and "of 40 GiB" in page


def test_a_full_workspace_is_told_before_the_click_and_a_lab_without_gpus_is_not_held_up(
    as_bob: Client, bob: User, image: Image, node: object, now: datetime
) -> None:
    workspace_record(owner_id=bob.pk, node_id="n1", size=55 * GIB, files=1, whole=True, now=now)
    wish = {"image": image.pk, "gpus": 1, "cpus": 1, "memory_gib": 1, "hours": 1}
    page = as_bob.get(reverse("launch_verdict"), wish).content.decode()
    assert "delete 5 GiB first, in a lab without GPUs" in page and "/quota/ask/?disk_gib=55" in page
    assert "delete 5 GiB" not in as_bob.get(reverse("launch_verdict"), wish | {"gpus": 0}).content.decode()
