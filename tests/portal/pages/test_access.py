"""Who may see which page."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from labs.lifecycle.models import Lab
from labs.people.models import User
from portal.admin.base import ReadOnly

OPEN_TO_PEOPLE = (
    "home",
    "home_labs",
    "launch",
    "launch_verdict",
    "queue",
    "queue_rows",
    "images",
    "quota",
    "quota_ask",
    "account",
    "account_keys",
    "account_tokens",
    "account_webhooks",
    "account_sessions",
)
ADMINISTRATION = (
    "manage", "manage_people", "manage_people_csv", "manage_person_add", "manage_quotas", "manage_nodes", "manage_labs", "manage_images",
    "manage_groups", "manage_audit", "manage_audit_csv",
)  # fmt: skip
OF_A_LAB = ("lab", "lab_state", "lab_history")
ACTIONS = ("lab_stop", "lab_extend", "lab_take_gpu", "lab_take_gpu_cancel", "lab_tokens")

Ask = Callable[..., Lab]


@pytest.mark.django_db
@pytest.mark.parametrize("name", OPEN_TO_PEOPLE + ADMINISTRATION)
def test_a_stranger_is_sent_to_the_sign_in_page(client: Client, name: str) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('account_login')}?next={reverse(name)}"


@pytest.mark.django_db
def test_a_fragment_without_sign_in_loads_the_whole_page_anew(client: Client) -> None:
    answer = client.get(reverse("home_labs"), headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (401, "true")


@pytest.mark.parametrize("name", OPEN_TO_PEOPLE)
def test_a_person_sees_every_page_of_their_own(as_alice: Client, node: object, name: str) -> None:
    answer = as_alice.get(reverse(name))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("name", ADMINISTRATION)
def test_only_administrators_see_the_administration(as_alice: Client, as_root: Client, node: object, name: str) -> None:
    assert as_alice.get(reverse(name)).status_code == 403
    assert as_root.get(reverse(name)).status_code == 200


@pytest.mark.parametrize("name", OF_A_LAB)
def test_a_lab_is_seen_by_its_owner_and_by_administrators_alone(
    as_alice: Client, as_bob: Client, as_charlie: Client, as_root: Client, client: Client, alice: User, lab_of: Ask, name: str
) -> None:
    url = reverse(name, args=[lab_of(alice).pk])
    answers = [browser.get(url).status_code for browser in (as_alice, as_root, as_bob, as_charlie, client)]
    assert answers == [200, 200, 404, 404, 302]


@pytest.mark.parametrize("name", ACTIONS)
def test_nobody_acts_on_the_lab_of_another(as_bob: Client, as_charlie: Client, client: Client, alice: User, lab_of: Ask, name: str) -> None:
    lab = lab_of(alice)
    url = reverse(name, args=[lab.pk])
    assert [browser.post(url, {"hours": 1, "gpus": 1, "name": "x"}).status_code for browser in (as_bob, as_charlie, client)] == [404, 404, 302]
    lab.refresh_from_db()
    assert (lab.state, lab.tokens.count(), lab.next_gpus) == ("queued", 0, None)


def test_an_administrator_makes_no_token_for_the_lab_of_another(as_root: Client, alice: User, lab_of: Ask) -> None:
    lab = lab_of(alice)
    assert as_root.post(reverse("lab_tokens", args=[lab.pk]), {"name": "mine"}).status_code == 404
    assert reverse("lab_tokens", args=[lab.pk]) not in as_root.get(reverse("lab", args=[lab.pk])).content.decode()


def test_a_page_names_no_other_person_in_the_queue(as_bob: Client, as_root: Client, alice: User, lab_of: Ask) -> None:
    lab_of(alice, name="secret-project")
    page = as_bob.get(reverse("queue")).content.decode()
    assert "Somebody&#x27;s lab" in page or "Somebody's lab" in page
    assert "secret-project" not in page
    assert "Alice" not in page
    assert "secret-project" in as_root.get(reverse("queue")).content.decode()


def test_a_disabled_person_is_out_at_the_next_click(as_bob: Client, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert as_bob.get(reverse("home")).status_code == 302


@pytest.mark.django_db
def test_nobody_signs_up_by_themselves(client: Client) -> None:
    page = client.post(reverse("account_signup"), {"email": "eve@example.edu", "password1": "correct-horse-9", "password2": "correct-horse-9"})
    assert "Nobody signs up" in page.content.decode()
    assert not User.objects.filter(email="eve@example.edu").exists()


@pytest.mark.django_db
def test_what_is_not_there_is_said_in_words(client: Client) -> None:
    answer = client.get("/nothing/of/the/kind/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_records_are_entered_by_the_same_sign_in(client: Client, as_root: Client, as_bob: Client) -> None:
    assert client.get("/admin/login/", follow=True).redirect_chain[-1][0].startswith(reverse("account_login"))
    assert as_root.get("/admin/lifecycle/lab/").status_code == 200
    assert as_root.get("/admin/lifecycle/lab/add/").status_code == 403
    assert as_bob.get("/admin/").status_code in (302, 403)


def test_no_record_is_written_in_the_admin_whoever_brought_it(as_root: Client) -> None:
    assert [kind.__name__ for kind, shown in admin.site._registry.items() if not isinstance(shown, ReadOnly)] == []


@pytest.mark.parametrize(("name", "sent"), [("launch", {"name": "a\0"}), ("manage_people", {"text": "\0"}), ("manage_quotas_preview", {"role": "\0"})])
def test_what_no_record_can_hold_is_no_request(as_root: Client, node: object, name: str, sent: dict[str, str]) -> None:
    assert as_root.get(reverse(name), sent).status_code == 400


def test_a_form_with_what_no_record_can_hold_is_no_request_either(as_alice: Client) -> None:
    assert as_alice.post(reverse("snapshot_make"), {"node": "\0"}).status_code == 400


def test_a_number_that_no_row_has_is_passed_over(as_root: Client, node: object) -> None:
    assert as_root.get(reverse("reserve_verdict"), {"reservation": "9" * 5000}).status_code == 200
    assert as_root.post(reverse("manage_people_role"), {"person": ["9" * 5000, "\u00b2"], "role": "student"}).status_code == 302
