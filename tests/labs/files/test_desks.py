"""Opening and closing file pages: whose, where, once, and until when; and what relays and nodes are told of them."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from labs.bus.secrets import secret_digest
from labs.files.models import Desk, DeskToken
from labs.files.queries import desk_image, desk_nodes, desk_routes, desk_routes_of_node, desk_tokens, desks_stirring
from labs.files.services import desk_answers, desk_ask, desk_closed, desk_token_create
from labs.fleet.models import Node, NodeImage
from labs.ledger.models import Event
from labs.lifecycle.relaying import relay_snapshot
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.services import token_create
from labs.relocation.models import Relocation
from labs.relocation.services import move_create
from labs.storage.rules import GIB
from labs.storage.services import workspace_record
from tests.support.hands import AtOnce, Round, round_of  # noqa: F401  (fixture)
from worker import hands
from worker.loops import files, reconcile
from worker.relay.access import Grant, Standing, judge, token_grant

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


@pytest.fixture
def house(round_of: Callable[..., Round], monkeypatch: pytest.MonkeyPatch) -> Round:
    """A node at work, whose file pages say that nobody uses them."""
    monkeypatch.setattr(files, "pool", AtOnce())
    monkeypatch.setattr(hands, "close_old_connections", lambda: None)  # what would be another thread is this one
    monkeypatch.setattr(files.storage, "pool", AtOnce())
    monkeypatch.setattr(files, "_answers", lambda *_: True)
    monkeypatch.setattr(files, "status", lambda _: {"idle_s": 10_000, "sweep_at": None})
    return round_of()


def opened(house: Round, user: User) -> Desk:
    desk = desk_ask(user=user, node_id=house.hands.node_id, now=house.now)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    return desk


def test_a_wish_opens_a_page_of_ones_own_workspace_and_nothing_else(house: Round, alice: User) -> None:
    desk = opened(house, alice)
    assert (desk.state, desk.attempt) == ("open", 1)
    spec = house.runtime.specs[desk.pk]
    assert spec.workspace == f"gpulab-{house.runtime.node_id}-ws-{alice.pk}"
    assert (spec.uid, spec.gpu_uuids, spec.shared_data, spec.gateway_key, spec.mounts) == (alice.uid, (), "", "", ())
    assert spec.desk and spec.desk.left
    assert Event.objects.filter(kind="files.opened", subject=f"person:{alice.pk}").count() == 1


def test_a_second_click_opens_nothing_more_and_keeps_it_open_longer(house: Round, alice: User) -> None:
    first = opened(house, alice)
    house.now += timedelta(minutes=14)
    again = opened(house, alice)
    assert (again.pk, again.attempt) == (first.pk, 1)
    assert again.wanted_until > first.wanted_until
    with pytest.raises(IntegrityError), transaction.atomic():
        Desk.objects.create(owner=alice, node_id=first.node_id, state_since=house.now, wanted_until=house.now)


def test_what_nobody_uses_is_closed_and_what_is_in_use_is_not(house: Round, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = opened(house, alice)
    monkeypatch.setattr(files, "status", lambda _: {"idle_s": 3, "sweep_at": None})
    house.now += timedelta(minutes=20)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert desk.state == "open"
    monkeypatch.setattr(files, "status", lambda _: {"idle_s": 1000, "sweep_at": None})
    house.now += timedelta(minutes=20)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.port, house.runtime.observe()) == ("closed", None, [])


def test_a_trash_that_is_due_opens_the_page_for_a_moment_while_nobody_looks(house: Round, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = opened(house, alice)
    due = house.now + WEEK
    desk_closed(desk=desk, words="", sweep_at=due, now=house.now)
    files.tick(hands=house.hands, now=house.now)
    assert house.runtime.observe() == [], "what the record has closed does not go on"
    assert desks_stirring(node_id=desk.node_id, now=due - timedelta(seconds=1)) == []
    house.now = due
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.attempt) == ("open", 2)
    house.now += timedelta(minutes=1)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.sweep_at) == ("closed", None)


def test_a_page_that_ended_by_itself_or_whose_engine_refuses_says_so(house: Round, round_of: Callable[..., Round], alice: User) -> None:
    desk = opened(house, alice)
    house.runtime.stop(desk.container, 0)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.words) == ("closed", "It had ended by itself. Open it again.")
    refusing = round_of(refuse="The engine refused to make the lab.")
    desk_ask(user=alice, node_id=desk.node_id, now=house.now)
    files.tick(hands=refusing.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.words) == ("closed", "The engine refused to make the lab.")


def test_a_disabled_person_loses_the_page_and_reconcile_takes_none_for_a_stray(house: Round, alice: User) -> None:
    desk = opened(house, alice)
    assert reconcile.tick(hands=house.hands, now=house.now) == []
    User.objects.filter(pk=alice.pk).update(is_active=False)
    files.tick(hands=house.hands, now=house.now)
    assert house.runtime.observe() == []
    desk.refresh_from_db()
    assert desk.state == "closed"


def test_a_page_is_closed_for_a_move_and_says_so_and_none_is_opened_meanwhile(house: Round, alice: User, root_admin: User) -> None:
    desk = opened(house, alice)
    other = Node.objects.create(pk="n2", name="n2", runtime="fake", state="ready", cpus=64, memory_mib=512 * 1024, heartbeat_at=house.now)
    move = move_create(owner=alice, source=desk.node, destination=other, actor=root_admin, now=house.now)
    files.tick(hands=house.hands, now=house.now)
    desk.refresh_from_db()
    assert (desk.state, desk.words) == ("closed", "Your files are being moved to another machine. Open them when they are there.")
    assert house.runtime.observe() == []
    with pytest.raises(Refused, match="being moved to another machine"):
        desk_ask(user=alice, node_id=house.hands.node_id, now=house.now)
    Desk.objects.update(sweep_at=house.now)
    files.tick(hands=house.hands, now=house.now)
    assert Desk.objects.get().state == "closed"
    Relocation.objects.filter(pk=move.pk).update(state="cancelled")
    assert opened(house, alice).state == "open"


def test_how_much_may_still_be_written_is_what_the_limit_leaves(house: Round, alice: User) -> None:
    workspace_record(owner_id=alice.pk, node_id=house.hands.node_id, size=5 * GIB, files=1, whole=True, now=house.now)
    assert opened(house, alice).left == 500 * GIB - 5 * GIB


def test_where_no_machine_answers_or_holds_an_image_it_is_refused_in_words(alice: User, node: Node, now: datetime) -> None:
    with pytest.raises(Refused, match="not on that machine"):
        desk_ask(user=alice, node_id="elsewhere", now=now)
    NodeImage.objects.update(state=NodeImage.State.PULLING)
    with pytest.raises(Refused, match="no image yet"):
        desk_ask(user=alice, node_id=node.pk, now=now)
    workspace_record(owner_id=alice.pk, node_id=node.pk, size=1, files=1, whole=True, now=now)
    Node.objects.update(state=Node.State.UNKNOWN)
    with pytest.raises(Refused, match="does not answer"):
        desk_ask(user=alice, node_id=node.pk, now=now)
    assert not Desk.objects.exists()


def test_files_are_where_they_were_measured_and_newcomers_find_the_first_machine(alice: User, bob: User, node: Node, now: datetime) -> None:
    Node.objects.create(pk="n2", name="A node")
    workspace_record(owner_id=alice.pk, node_id="n1", size=1, files=1, whole=True, now=now)
    assert [one.pk for one in desk_nodes(user=alice)] == ["n1"]
    assert len(desk_nodes(user=bob)) == 1
    assert desk_image(node_id="n2", preferred="x") is None


def test_the_relay_lets_its_owner_in_and_neither_a_colleague_nor_an_administrator(house: Round, alice: User, bob: User, root_admin: User) -> None:
    desk = opened(house, alice)
    snapshot = relay_snapshot(node_id=desk.node_id, desks=desk_routes(node_id=desk.node_id))
    at = house.now.timestamp() + 1
    assert judge(Grant(desk.pk, alice.pk, "owner", at), snapshot).standing is Standing.OPEN
    for user in (bob, root_admin):
        assert judge(Grant(desk.pk, user.pk, "owner", at), snapshot).standing is Standing.FORBIDDEN
    assert desk_routes(node_id="front")[desk.pk].node == desk.node_id, "another node's page is reached through its relay"
    assert set(desk_routes_of_node(node_id=desk.node_id)) == {desk.pk}


def test_a_programs_token_opens_these_files_alone_for_two_hours(house: Round, alice: User, bob: User) -> None:
    desk, other = opened(house, alice), opened(house, bob)
    token, until = desk_token_create(desk=desk, now=house.now)
    assert token not in str(list(DeskToken.objects.values()))
    routes = desk_routes(node_id=desk.node_id)
    snapshot = relay_snapshot(node_id=desk.node_id, desks=routes, ways=desk_tokens(now=until - timedelta(seconds=1)))
    grant = token_grant(secret_digest(token), desk.pk, snapshot)
    assert grant and judge(grant, snapshot).standing is Standing.OPEN
    assert token_grant(secret_digest(token), other.pk, snapshot) is None
    assert desk_tokens(now=until) == {}


def test_facts_of_an_earlier_opening_change_nothing(house: Round, alice: User) -> None:
    desk = opened(house, alice)
    Desk.objects.filter(pk=desk.pk).update(attempt=2, state="opening", port=None)
    assert not desk_answers(desk=desk, address=("127.0.0.1", 5), now=house.now)
    assert not desk_closed(desk=desk, words="", sweep_at=None, now=house.now)


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_the_page_leads_to_ones_own_files_by_a_ticket_and_says_why_it_cannot(alice: User, node: Node, now: datetime) -> None:
    client = _signed_in(alice)
    assert "Open my files" in client.get(reverse("files")).content.decode()
    answer = client.post(reverse("files_open"), {"node": node.pk})
    desk = Desk.objects.get(owner=alice)
    assert answer.status_code == 303
    assert answer["Location"].startswith(f"http://lab-{desk.pk}.localhost")
    refused = client.post(reverse("files_open"), {"node": "elsewhere"}, follow=True)
    assert "Your files are not on that machine." in refused.content.decode()
    Node.objects.update(state=Node.State.GONE)
    assert "No machine is here yet" in client.get(reverse("files")).content.decode()


def test_the_api_lists_where_they_are_and_a_reading_token_makes_no_link(alice: User, bob: User, node: Node, now: datetime) -> None:
    clients = {}
    for scope in ("read", "launch"):
        secret = token_create(user=alice, name=scope, scope=scope, now=now)[1]
        clients[scope] = Client(headers={"Authorization": f"Bearer {secret}"})
    assert clients["read"].get("/api/v1/files").json()["items"] == [{"node": node.pk, "state": "closed", "words": ""}]
    assert clients["read"].post("/api/v1/files/link", {}, content_type="application/json").status_code == 403
    link = clients["launch"].post("/api/v1/files/link", {}, content_type="application/json").json()
    desk = Desk.objects.get(owner=alice)
    assert (link["state"], link["url"].endswith(f"/l/{desk.pk}/")) == ("opening", True)
    assert DeskToken.objects.get().digest == secret_digest(link["token"])
    assert clients["launch"].post("/api/v1/files/link", {"node": "n9"}, content_type="application/json").status_code in (403, 404, 409, 422)
