"""What administrators do on their pages."""

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from labs.catalogue.models import Image
from labs.fleet.models import Node, NodeImage
from labs.ledger.models import Event
from labs.ledger.services import event_record
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.people.services import invitation_create
from labs.policy.models import LimitOverride, RoleLimits
from labs.policy.queries import limits_of, limits_of_role

Ask = Callable[..., Lab]


def row(role: str, **more: object) -> dict[str, object]:
    """A role's row as the page sends it."""
    return {name: "" if value is None else value for name, value in limits_of_role(role=role).items()} | {"role": role} | more


def test_a_new_limit_holds_from_the_next_request_on(as_root: Client, bob: User, as_bob: Client, image: Image, node: Node) -> None:
    wish = {"image": image.pk, "gpus": 2, "cpus": 1, "memory_gib": 1, "hours": 1}
    assert as_bob.post(reverse("launch"), wish).status_code == 422
    as_root.post(reverse("manage_quotas"), row("student", gpus=2, gpus_max=2))
    assert as_bob.post(reverse("launch"), wish).status_code == 302
    assert Event.objects.filter(kind="quota.role", actor_name="Root").exists()


@pytest.mark.parametrize("bad", [{"gpus": -1}, {"cpus": ""}, {"hours_max": 0}, {"gpus": 5, "gpus_max": 1}, {"labs": "x"}, {"disk_gib": 10**12}], ids=str)
def test_an_impossible_limit_is_refused_beside_its_role(as_root: Client, bad: dict[str, object]) -> None:
    before = limits_of_role(role="student")
    answer = as_root.post(reverse("manage_quotas"), row("student", **bad))
    assert answer.status_code == 422
    assert {role: form for role, _, form in answer.context["role_forms"]}["student"].errors
    assert limits_of_role(role="student") == before


def test_a_role_that_is_none_is_not_there(as_root: Client) -> None:
    assert as_root.post(reverse("manage_quotas"), row("student") | {"role": "king"}).status_code == 404
    assert RoleLimits.objects.count() == 4


def test_no_limit_on_hours_is_an_empty_field(as_root: Client) -> None:
    as_root.post(reverse("manage_quotas"), row("student", gpu_hours_week=""))
    assert limits_of_role(role="student")["gpu_hours_week"] is None


def test_an_exception_is_given_and_ended(as_root: Client, bob: User) -> None:
    until = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    as_root.post(reverse("manage_override"), {"person": bob.pk, "gpus_max": 3, "until": until, "note": "Thesis"})
    assert limits_of(user=bob, now=timezone.now()).gpus_max == 3
    as_root.post(reverse("manage_override_clear", args=[LimitOverride.objects.get().pk]))
    assert limits_of(user=bob, now=timezone.now()).gpus_max == 1


@pytest.mark.parametrize("bad", [{"person": ""}, {"gpus_max": ""}, {"until": "2001-01-01T00:00"}, {"gpus_max": -3}, {"person": 10**6}], ids=str)
def test_a_bad_exception_changes_nothing(as_root: Client, bob: User, bad: dict[str, object]) -> None:
    assert as_root.post(reverse("manage_override"), {"person": bob.pk, "gpus_max": 3} | bad).status_code == 422
    assert not LimitOverride.objects.exists()


def test_a_group_has_an_exception_too(as_root: Client, bob: User, team: Group) -> None:
    as_root.post(reverse("manage_override"), {"group": team.pk, "gpus_max": 4})
    assert limits_of(user=bob, now=timezone.now()).gpus_max == 4


def test_a_person_is_invited_by_a_link_that_is_shown_once(as_root: Client, team: Group) -> None:
    data = {"email": "ivy@example.edu", "role": "student", "group": team.pk, "how": "invitation"}
    page = as_root.post(reverse("manage_person_add"), data, follow=True).content.decode()
    assert "/invite/gpi_" in page
    assert "/invite/gpi_" not in as_root.get(reverse("manage_people")).content.decode()


def test_an_account_is_made_and_its_link_lets_a_password_be_chosen(as_root: Client, client: Client, team: Group) -> None:
    page = as_root.post(
        reverse("manage_person_add"), {"email": "ivy@example.edu", "display_name": "Ivy", "role": "student", "group": team.pk, "how": "account"}, follow=True
    )
    link = page.content.decode().split('id="handed-link">http://testserver')[1].split("<")[0]
    assert "Choose a new password" in client.get(link, follow=True).content.decode()


@pytest.mark.parametrize("bad", [{"email": "nonsense"}, {"email": "BOB@example.edu"}, {"role": "king"}, {"group": 999}], ids=str)
def test_a_bad_person_is_not_made(as_root: Client, bob: User, bad: dict[str, object]) -> None:
    before = User.objects.count()
    answer = as_root.post(reverse("manage_person_add"), {"email": "ivy@example.edu", "role": "student", "how": "account"} | bad)
    assert answer.status_code == 422
    assert User.objects.count() == before


def test_a_role_and_groups_are_changed(as_root: Client, bob: User, team: Group) -> None:
    as_root.post(reverse("manage_person", args=[bob.pk]), {"display_name": "Bob", "role": "teacher", "groups": []})
    bob.refresh_from_db()
    assert (bob.role, bob.memberships.count()) == ("teacher", 0)


def test_nobody_locks_themselves_out(as_root: Client, root_admin: User) -> None:
    as_root.post(reverse("manage_person_disable", args=[root_admin.pk]))
    answer = as_root.post(reverse("manage_person", args=[root_admin.pk]), {"display_name": "Root", "role": "student"})
    assert answer.status_code == 422
    root_admin.refresh_from_db()
    assert root_admin.is_administrator


def test_a_person_is_disabled_and_enabled(as_root: Client, bob: User) -> None:
    as_root.post(reverse("manage_person_disable", args=[bob.pk]))
    bob.refresh_from_db()
    assert not bob.is_active
    as_root.post(reverse("manage_person_enable", args=[bob.pk]))
    bob.refresh_from_db()
    assert bob.is_active


def test_people_are_found_by_name(as_root: Client, alice: User, bob: User) -> None:
    rows = as_root.get(reverse("manage_people"), {"text": "ali"}).context["rows"]
    assert [person for person, _, _ in rows] == [alice]


def test_a_red_check_needs_a_hand_and_says_the_fix(as_root: Client, node: Node) -> None:
    Node.objects.update(checks=[{"name": "Network rules", "state": "red", "words": "Labs reach the host.", "fix": "Load br_netfilter."}])
    for name in ("manage", "manage_nodes"):
        page = as_root.get(reverse(name)).content.decode()
        assert "Labs reach the host." in page
        assert "Load br_netfilter." in page


def test_a_node_is_cordoned_and_a_card_taken_out(as_root: Client, node: Node) -> None:
    as_root.post(reverse("manage_node_cordon", args=[node.pk]))
    card = node.gpus.first()
    assert card
    as_root.post(reverse("manage_gpu", args=[card.pk]), {"out": "yes"})
    node.refresh_from_db()
    card.refresh_from_db()
    assert (node.state, card.health) == ("cordoned", "drained")
    as_root.post(reverse("manage_node_uncordon", args=[node.pk]))
    as_root.post(reverse("manage_gpu", args=[card.pk]), {"out": "no"})
    node.refresh_from_db()
    card.refresh_from_db()
    assert (node.state, card.health) == ("ready", "ok")


def test_the_nodes_try_again_an_image_that_failed(as_root: Client, node: Node, image: Image) -> None:
    NodeImage.objects.filter(image=image).update(state="failed", tries=3, words="no route to the registry")
    assert "Try again" in as_root.get(reverse("manage_images")).content.decode()
    as_root.post(reverse("manage_image_bring", args=[image.pk]))
    row = NodeImage.objects.get(image=image)
    assert (row.state, row.tries) == ("absent", 0)


def test_an_image_is_added_retired_and_offered_again(as_root: Client) -> None:
    data = {"title": "PyTorch 3", "slug": "pytorch-3", "runtime": "docker", "repository": "pytorch/pytorch", "tag": "3.0", "digest": "", "description": ""}
    as_root.post(reverse("manage_images"), data)
    image = Image.objects.get(slug="pytorch-3")
    as_root.post(reverse("manage_image_active", args=[image.pk]), {"offered": "no"})
    image.refresh_from_db()
    assert not image.is_active
    as_root.post(reverse("manage_image_active", args=[image.pk]), {"offered": "yes"})
    image.refresh_from_db()
    assert image.is_active


@pytest.mark.parametrize("bad", [{"tag": "latest"}, {"tag": ""}, {"digest": "sha256:1"}, {"slug": "a b"}, {"runtime": "vm"}, {"repository": ""}], ids=str)
def test_a_bad_image_is_not_added(as_root: Client, bad: dict[str, str]) -> None:
    data = {"title": "PyTorch 3", "slug": "pytorch-3", "runtime": "docker", "repository": "pytorch/pytorch", "tag": "3.0"} | bad
    assert as_root.post(reverse("manage_images"), data).status_code == 422
    assert not Image.objects.exists()


def test_a_team_hangs_below_an_organisation(as_root: Client) -> None:
    as_root.post(reverse("manage_groups"), {"kind": "organisation", "name": "University", "slug": "uni"})
    assert as_root.post(reverse("manage_groups"), {"kind": "team", "name": "Vision", "slug": "vision"}).status_code == 422
    as_root.post(reverse("manage_groups"), {"kind": "team", "name": "Vision", "slug": "vision", "parent": Group.objects.get().pk})
    assert Group.objects.get(slug="vision").parent == Group.objects.get(slug="uni")


def test_labs_of_everybody_are_filtered(as_root: Client, alice: User, bob: User, lab_of: Ask) -> None:
    lab_of(alice, name="one")
    lab_of(bob, name="two")
    assert [lab.name for lab in as_root.get(reverse("manage_labs"), {"text": "bob@"}).context["page"]] == ["two"]
    assert list(as_root.get(reverse("manage_labs"), {"live": "ended"}).context["page"]) == []
    assert as_root.get(reverse("manage_labs"), {"live": "nonsense"}).status_code == 200


def test_the_audit_log_is_searched_and_exported_without_formulas(as_root: Client, root_admin: User, now: datetime) -> None:
    event_record(kind="test.kind", subject="thing:1", words="=HYPERLINK(1)", actor=root_admin, now=now)
    assert "=HYPERLINK(1)" in as_root.get(reverse("manage_audit"), {"text": "hyperlink"}).content.decode()
    assert "=HYPERLINK(1)" not in as_root.get(reverse("manage_audit"), {"kind": "person."}).content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_export_carries_what_was_searched(root_admin: User, now: datetime) -> None:
    event_record(kind="test.kind", subject="thing:1", words="=HYPERLINK(1)", actor=root_admin, now=now)

    async def export() -> str:
        browser = AsyncClient()
        await browser.aforce_login(root_admin, backend="allauth.account.auth_backends.AuthenticationBackend")
        answer = await browser.get(reverse("manage_audit_csv"), {"kind": "test."})
        return b"".join([part async for part in answer.streaming_content]).decode()

    lines = async_to_sync(export)().splitlines()
    assert lines[0] == "at,actor_name,kind,subject,words"
    assert len(lines) == 2
    assert lines[1].endswith("'=HYPERLINK(1)")


def test_everybody_is_exported_with_use_beside_limit_and_without_formulas(as_root: Client, bob: User, team: Group) -> None:
    User.objects.filter(pk=bob.pk).update(display_name="=cmd()")
    answer = as_root.get(reverse("manage_people_csv"), {"text": "bob@"})
    [row] = csv.DictReader(io.StringIO(answer.content.decode()))
    assert answer["Content-Disposition"] == 'attachment; filename="gpulab-people.csv"'
    assert (row["name"], row["email"], row["role"], row["groups"], row["gpus"], row["gpus_limit"]) == (
        "'=cmd()",
        "bob@example.edu",
        "student",
        "Vision",
        "0",
        "1",
    )


def test_a_role_is_given_to_all_who_are_ticked(as_root: Client, alice: User, bob: User, charlie: User) -> None:
    page = as_root.post(reverse("manage_people_role"), {"person": [alice.pk, bob.pk], "role": "teacher"}, follow=True).content.decode()
    assert "The role of 2 people is teacher now." in page
    assert set(User.objects.filter(role="teacher")) == {alice, bob}
    assert Event.objects.filter(kind="person.changed").count() == 2


@pytest.mark.parametrize(("data", "words"), [({"role": "teacher"}, "Tick the people first"), ({"person": "x", "role": "teacher"}, "Tick the people first")])
def test_a_role_for_nobody_says_so(as_root: Client, data: dict[str, str], words: str) -> None:
    assert words in as_root.post(reverse("manage_people_role"), data, follow=True).content.decode()


def test_a_role_for_many_is_given_to_all_or_to_nobody(as_root: Client, root_admin: User, bob: User) -> None:
    for role in ("student", "king"):
        as_root.post(reverse("manage_people_role"), {"person": [bob.pk, root_admin.pk], "role": "researcher" if role == "student" else role})
    bob.refresh_from_db()
    root_admin.refresh_from_db()
    assert (bob.role, root_admin.role) == ("student", "administrator")


def test_an_invitation_that_was_withdrawn_makes_no_account(as_root: Client, client: Client, root_admin: User, now: datetime) -> None:
    invitation, secret = invitation_create(email="ivy@example.edu", role="student", group=None, actor=root_admin, now=now)
    assert "ivy@example.edu" in as_root.get(reverse("manage_people")).content.decode()
    address = reverse("manage_invitation_withdraw", args=[invitation.pk])
    as_root.post(address)
    assert invitation not in as_root.get(reverse("manage_people")).context["invitations"]
    assert client.get(reverse("invitation", args=[secret])).status_code == 410
    assert as_root.post(address).status_code == 404


def test_each_form_of_the_quotas_has_names_of_its_own_and_who_is_not_listed_is_counted(as_root: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.pages.manage_quotas.MOST_PEOPLE", 1)
    page = as_root.get(reverse("manage_quotas")).content.decode()
    names = re.findall(r'\bid="([^"]+)"', page)
    assert sorted(names) == sorted(set(names)) and {"window_group", "exception_group", "capped_group"} <= set(names)
    assert "1 more person" in page and "By the house&#x27;s clock: UTC." in page
