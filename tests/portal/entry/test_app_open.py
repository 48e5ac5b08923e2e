"""One click into one port of a lab."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from labs.ledger.queries import events_of
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.sharing.services import app_answers, app_start, share_create, share_withdraw
from tests.labs.sharing.test_shares import running
from tests.portal.entry.test_lab_open import _signed_in, _ticket

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(alice: User, lab_of: Callable[..., Lab], now: datetime) -> Lab:
    """Alice's running lab."""
    return running(lab_of(alice), now)


def open_app(user: User, lab: Lab, port: int = 8080) -> "Client":
    return _signed_in(user).post(reverse("app_open", args=[lab.pk, port]))


def test_the_owner_is_handed_over_to_the_ports_own_origin_by_a_ticket_that_names_it(alice: User, lab: Lab) -> None:
    for answer in (open_app(alice, lab), _signed_in(alice).post(reverse("app_open_any", args=[lab.pk]), {"port": "8080"})):
        assert urlsplit(answer["Location"]).hostname == f"p8080-lab-{lab.pk}.localhost"
        ticket = _ticket(answer["Location"])
        assert (ticket.user_id, ticket.lab_id, ticket.port, ticket.role, ticket.path) == (alice.pk, lab.pk, 8080, "owner", "")


def test_a_guest_enters_with_a_ticket_of_their_own_which_the_owner_can_read_of(alice: User, bob: User, charlie: User, lab: Lab, now: datetime) -> None:
    made = share_create(lab=lab, port=8080, name="", hours=1, email=bob.email, actor=alice, now=now)
    ticket = _ticket(open_app(bob, lab)["Location"])
    assert (ticket.user_id, ticket.role, ticket.port) == (bob.pk, "guest", 8080)
    assert "Bob opened port 8080, which is shared with them." in [event.words for event in events_of(subject=lab.subject)]
    assert open_app(bob, lab, 8081).status_code == 404
    assert open_app(charlie, lab).status_code == 404
    share_withdraw(lab=lab, share_id=made.pk, actor=alice, now=now)
    assert open_app(bob, lab).status_code == 404


def test_without_a_share_nobody_else_enters_not_even_an_administrator(bob: User, root_admin: User, lab: Lab) -> None:
    for person in (bob, root_admin):
        assert open_app(person, lab).status_code == 404
    answer = Client().post(reverse("app_open", args=[lab.pk, 8080]))
    assert answer.status_code == 302 and "ticket" not in answer["Location"]
    assert _signed_in(lab.owner).get(reverse("app_open", args=[lab.pk, 8080])).status_code == 405


@pytest.mark.parametrize("port", ["8888", "2222", "80", "70000", "", "x", "８０８０"])
def test_ports_of_the_house_and_no_ports_are_told_in_words(alice: User, bob: User, lab: Lab, port: str) -> None:
    answer = _signed_in(alice).post(reverse("app_open_any", args=[lab.pk]), {"port": port})
    assert answer["Location"] == reverse("lab", args=[lab.pk])
    assert _signed_in(bob).post(reverse("app_open_any", args=[lab.pk]), {"port": port}).status_code == 404


def test_where_labs_share_one_address_no_app_is_opened(alice: User, lab: Lab) -> None:
    with override_settings(LABS_ORIGIN="single"):
        assert open_app(alice, lab)["Location"] == reverse("lab", args=[lab.pk])


def test_vs_code_opens_at_its_folder(alice: User, lab: Lab, now: datetime) -> None:
    app = app_start(lab=lab, tool="vscode", folder="my work", actor=alice, now=now)
    assert app_answers(app=app, port=8080, now=now)
    assert _ticket(open_app(alice, lab)["Location"]).path == "?folder=%2Fworkspace%2Fmy+work"
