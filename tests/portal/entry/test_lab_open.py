"""One click from the lab page onto the lab's own origin."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from labs.bus.secrets import derive
from labs.ledger.queries import events_of
from labs.lifecycle.models import Lab
from labs.lifecycle.passes import KEY_PURPOSE, Pass, check, opened
from labs.people.models import User

pytestmark = pytest.mark.django_db
LabOf = Callable[..., Lab]


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def _ticket(location: str) -> Pass:
    return opened(parse_qs(urlsplit(location).query)["ticket"][0], key=derive(KEY_PURPOSE))


def test_the_owner_is_handed_over_by_a_ticket_to_the_labs_own_origin(alice: User, lab_of: LabOf, now: datetime) -> None:
    lab = lab_of(alice)
    answer = _signed_in(alice).post(reverse("lab_open", args=[lab.pk]))
    assert answer.status_code == 303
    where = urlsplit(answer["Location"])
    assert (where.scheme, where.hostname, where.path) == ("http", f"lab-{lab.pk}.localhost", "/_gpulab/enter")
    ticket = _ticket(answer["Location"])
    assert (ticket.user_id, ticket.lab_id, ticket.role, ticket.path) == (alice.pk, lab.pk, "owner", "lab")
    check(ticket, kind="ticket", now=ticket.issued + 59)
    assert ticket.session and ticket.port == 0
    assert answer["Referrer-Policy"] == "no-referrer" and "no-store" in answer["Cache-Control"]
    assert not [event for event in events_of(subject=lab.subject) if event.kind == "lab.opened"]


@pytest.mark.parametrize(("asked", "path"), [("terminal", "_gpulab/terminal"), ("tree", "tree"), ("//evil.example", "lab"), ("../../x", "lab"), ("", "lab")])
def test_a_click_leads_only_to_known_places_inside_the_lab(alice: User, lab_of: LabOf, asked: str, path: str) -> None:
    answer = _signed_in(alice).post(reverse("lab_open", args=[lab_of(alice).pk]), {"next": asked})
    assert _ticket(answer["Location"]).path == path


def test_others_get_a_404_and_no_ticket(alice: User, bob: User, charlie: User, lab_of: LabOf) -> None:
    lab = lab_of(alice)
    for person in (bob, charlie):
        answer = _signed_in(person).post(reverse("lab_open", args=[lab.pk]))
        assert answer.status_code == 404 and "Location" not in answer
    answer = Client().post(reverse("lab_open", args=[lab.pk]))
    assert answer.status_code == 302 and "ticket" not in answer["Location"]


def test_a_link_alone_opens_nothing(alice: User, lab_of: LabOf) -> None:
    assert _signed_in(alice).get(reverse("lab_open", args=[lab_of(alice).pk])).status_code == 405


def test_a_post_of_another_site_opens_nothing(alice: User, lab_of: LabOf) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(reverse("lab_open", args=[lab_of(alice).pk])).status_code == 403


def test_an_administrator_opens_anybodys_lab_and_it_is_written_down(alice: User, root_admin: User, lab_of: LabOf) -> None:
    lab = lab_of(alice)
    answer = _signed_in(root_admin).post(reverse("lab_open", args=[lab.pk]))
    assert _ticket(answer["Location"]).role == "admin"
    event = next(event for event in events_of(subject=lab.subject) if event.kind == "lab.opened")
    assert event.actor_id == root_admin.pk and "as an administrator" in event.words


def test_where_labs_share_one_origin_an_administrator_opens_only_their_own(alice: User, root_admin: User, lab_of: LabOf, settings: object) -> None:
    settings.LABS_ORIGIN = "single"  # type: ignore[attr-defined]
    answer = _signed_in(root_admin).post(reverse("lab_open", args=[lab_of(alice).pk]))
    assert answer.status_code == 302 and "ticket" not in answer["Location"]
    mine = lab_of(root_admin)
    answer = _signed_in(root_admin).post(reverse("lab_open", args=[mine.pk]))
    assert urlsplit(answer["Location"]).hostname == "localhost" and _ticket(answer["Location"]).role == "owner"


def test_an_ended_lab_leads_back_to_its_page(alice: User, lab_of: LabOf) -> None:
    lab = lab_of(alice)
    Lab.objects.filter(pk=lab.pk).update(state="stopped")
    answer = _signed_in(alice).post(reverse("lab_open", args=[lab.pk]))
    assert (answer.status_code, answer["Location"]) == (302, reverse("lab", args=[lab.pk]))
