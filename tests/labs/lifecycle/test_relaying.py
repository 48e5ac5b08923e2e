"""What relays are told of labs, people and sessions."""

from collections.abc import Callable

import pytest
from django.test import Client

from labs.bus.secrets import secret_digest
from labs.fleet.models import Node
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.relaying import relay_snapshot, relay_snapshot_of_node
from labs.people.models import User

pytestmark = pytest.mark.django_db
LabOf = Callable[..., Lab]


def _runs(lab: Lab, **more: object) -> Lab:
    node = Node.objects.get_or_create(pk="gpu01", defaults={"name": "gpu01"})[0]
    columns = {"state": states.RUNNING, "node": node, "jupyter_host": "127.0.0.1", "jupyter_port": 4000, "inside_host": "10.2.0.2"} | more
    Lab.objects.filter(pk=lab.pk).update(**columns)
    return Lab.objects.get(pk=lab.pk)


def test_a_lab_of_another_node_is_reached_through_that_nodes_relay(alice: User, lab_of: LabOf) -> None:
    lab = _runs(lab_of(alice))
    Node.objects.filter(pk="gpu01").update(relay_address="192.0.2.9:8443")
    mine = relay_snapshot(node_id="gpu01").routes[lab.pk]
    assert (mine.jupyter, mine.inside, mine.node, mine.via) == (("127.0.0.1", 4000), "10.2.0.2", "", None)
    far = relay_snapshot(node_id="front").routes[lab.pk]
    assert (far.node, far.via) == ("gpu01", ("192.0.2.9", 8443))


def test_a_joined_node_is_told_of_its_own_labs_and_of_no_person(alice: User, bob: User, lab_of: LabOf) -> None:
    mine, queued = _runs(lab_of(alice)), lab_of(bob)
    told = relay_snapshot_of_node(node_id="gpu01")
    assert set(told.routes) == {mine.pk} and queued.pk not in told.routes
    assert not told.people and not told.tokens and not told.sessions and not told.guests
    assert not relay_snapshot_of_node(node_id="gpu02").routes


def test_a_session_is_told_until_its_person_signs_out(alice: User, lab_of: LabOf) -> None:
    lab_of(alice)
    browser = Client()
    browser.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    browser.get("/")
    digest = secret_digest(browser.session.session_key or "")
    assert digest in relay_snapshot(node_id="local").sessions
    browser.post("/accounts/logout/")
    assert digest not in relay_snapshot(node_id="local").sessions


def test_guests_are_told_with_their_sessions_and_only_for_labs_that_are_there(alice: User, bob: User, lab_of: LabOf) -> None:
    lab = lab_of(alice)
    told = relay_snapshot(node_id="local", guests={(lab.pk, 8080): frozenset((bob.pk,)), ("gone", 8080): frozenset((bob.pk,))})
    assert dict(told.guests) == {(lab.pk, 8080): frozenset((bob.pk,))}
    assert {alice.pk, bob.pk} <= set(told.people)


def test_one_of_two_sessions_is_told_on_when_the_other_signs_out(alice: User, lab_of: LabOf) -> None:
    lab_of(alice)
    laptop, phone = Client(), Client()
    for browser in (laptop, phone):
        browser.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
        browser.get("/")
    digests = [secret_digest(browser.session.session_key or "") for browser in (laptop, phone)]
    assert set(digests) <= relay_snapshot(node_id="local").sessions
    laptop.post("/accounts/logout/")
    told = relay_snapshot(node_id="local").sessions
    assert digests[0] not in told and digests[1] in told
