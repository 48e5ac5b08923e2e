"""Revocation means now: every way to take something away, tried on every door that is open, in one table.

A door is asked the question that it asks itself of every open connection: pages and API at each request, live streams at each message and every
4 s, the relay and the SSH gateway every 2 s. That an open link is cut on the answer is told on real sockets in `tests/portal/live/test_stream.py`,
`tests/worker/relay/test_revocation.py` and `tests/portal/ssh/test_gateway.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from labs.bus.secrets import secret_digest
from labs.lifecycle.models import Lab
from labs.lifecycle.relaying import relay_snapshot
from labs.lifecycle.services import lab_token_create, lab_token_revoke
from labs.people.models import User
from labs.people.queries import ssh_keys_standing
from labs.people.services import person_disable, person_groups_set, ssh_key_remove, token_create, token_revoke
from labs.sharing.queries import guests_now
from labs.sharing.services import share_create, share_withdraw
from portal.live import hub
from portal.live.access import standings
from portal.ssh import sessions
from tests.security.world import PASSWORD, World, world_make
from tests.support.callers import Caller
from worker.relay import table
from worker.relay.access import Grant, Standing, judge

pytestmark = pytest.mark.django_db
PORT = 6006
DOORS = ("page", "API", "live stream", "lab by browser", "lab by token", "SSH", "app of a guest", "app of a team", "lab as administrator", "administration")


@dataclass
class Held:
    """What alice, her guest, her team and an administrator have open."""

    world: World
    lab: Lab
    api: Caller
    api_token: int
    lab_token: int
    lab_digest: str
    share: int
    session: str
    hash: str
    issued: float

    @property
    def alice(self) -> User:
        return User.objects.get(email="alice@example.edu")

    @property
    def root(self) -> User:
        return self.world.people["root"]

    @property
    def browser(self) -> Client:
        return self.world.browsers["owner"]


@pytest.fixture(scope="module")
def house(django_db_setup: None, django_db_blocker: Any) -> Iterator[Held]:
    """Everything is open; what a test takes away is given back after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield _opened(world_make(now=timezone.now()))
        transaction.set_rollback(True)


def _opened(world: World) -> Held:
    now, alice = timezone.now(), world.people["alice"]
    lab = Lab.objects.get(pk=world.values["lab_id"])
    Lab.objects.filter(pk=lab.pk).update(jupyter_host="127.0.0.1", jupyter_port=8888, ssh_host="127.0.0.1", ssh_port=2222)
    token, secret = token_create(user=alice, name="second", scope="launch", now=now)
    lab_token, lab_secret = lab_token_create(lab=lab, name="desktop", actor=alice, now=now)
    guest = share_create(lab=lab, port=PORT, name="board", hours=2, actor=alice, now=now, email="charlie@example.edu")
    share_create(lab=lab, port=PORT + 1, name="team's board", hours=2, actor=alice, now=now, group=alice.memberships.get().group)
    key = world.browsers["owner"].session.session_key or ""
    issued, hashed = timezone.now().timestamp(), User.objects.get(pk=alice.pk).get_session_auth_hash()
    return Held(world, lab, Caller(secret), token.pk, lab_token.pk, secret_digest(lab_secret), guest.pk, key, hashed, issued)


def standing(held: Held) -> set[str]:
    """The doors that are open to those who had them open."""
    people, snapshot = held.world.people, relay_snapshot(node_id="n1", guests=guests_now(now=timezone.now()))
    seen = standings([people["alice"].pk], [held.session])
    mine = seen.people.get(people["alice"].pk)

    def link(**grant: Any) -> bool:
        return judge(Grant(held.lab.pk, issued=held.issued, **grant), snapshot).standing is not Standing.FORBIDDEN

    open_now = {
        "page": held.browser.get("/").status_code == 200,
        "API": held.api.get("/me").status_code == 200,
        "live stream": mine is not None and mine.session_hash == held.hash and held.session in seen.sessions,
        "lab by browser": link(user_id=people["alice"].pk, session=secret_digest(held.session)),
        "lab by token": link(token=held.lab_digest),
        "SSH": bool(ssh_keys_standing(key_ids=[int(held.world.values["key_id"])])),
        "app of a guest": link(user_id=people["charlie"].pk, role="guest", port=PORT),
        "app of a team": link(user_id=people["bob"].pk, role="guest", port=PORT + 1),
        "lab as administrator": link(user_id=people["root"].pk, role="admin"),
        "administration": held.world.browsers["administrator"].get("/manage/").status_code == 200,
    }
    return {door for door, is_open in open_now.items() if is_open}


def _another(held: Held) -> Client:
    """Another browser of alice's."""
    browser = Client()
    browser.force_login(held.alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


def _password_changed(held: Held) -> None:
    other = _another(held)
    new = "a-new-password-77"
    assert other.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}).status_code == 302


def _session_ended(held: Held) -> None:
    other = _another(held)
    assert other.post(f"/account/sessions/{held.world.values['session_id']}/end/").status_code == 302


def _role_taken(held: Held) -> None:
    User.objects.filter(pk=held.root.pk).update(role="student")


#: What is done -> the doors that it shuts; all others stay open.
REVOCATIONS: dict[str, tuple[Callable[[Held], object], set[str]]] = {
    "a person is disabled": (
        lambda held: person_disable(user=held.alice, actor=held.root, now=timezone.now()),
        {"page", "API", "live stream", "lab by browser", "lab by token", "SSH"},
    ),
    "a guest is disabled": (
        lambda held: person_disable(user=held.world.people["charlie"], actor=held.root, now=timezone.now()),
        {"app of a guest"},
    ),
    "a key is removed": (lambda held: ssh_key_remove(user=held.alice, key_id=int(held.world.values["key_id"]), now=timezone.now()), {"SSH"}),
    "an API token is revoked": (lambda held: token_revoke(user=held.alice, token_id=held.api_token, now=timezone.now()), {"API"}),
    "a lab's token is revoked": (
        lambda held: lab_token_revoke(lab=held.lab, token_id=held.lab_token, actor=held.alice, now=timezone.now()),
        {"lab by token"},
    ),
    "a session is ended from another": (_session_ended, {"page", "live stream", "lab by browser"}),
    "a person signs out": (lambda held: held.browser.post("/accounts/logout/"), {"page", "live stream", "lab by browser"}),
    "a password is changed": (_password_changed, {"page", "live stream", "lab by browser"}),
    "a share is withdrawn": (
        lambda held: share_withdraw(lab=held.lab, share_id=held.share, actor=held.alice, now=timezone.now()),
        {"app of a guest"},
    ),
    "a guest leaves the team": (
        lambda held: person_groups_set(user=held.world.people["bob"], groups=[], actor=held.root, now=timezone.now()),
        {"app of a team"},
    ),
    "an administrator is one no longer": (_role_taken, {"lab as administrator", "administration"}),
}


@pytest.mark.parametrize("what", REVOCATIONS)
def test_what_is_taken_away_shuts_its_doors_and_no_others(house: Held, what: str) -> None:
    act, shut = REVOCATIONS[what]
    cookies = house.browser.cookies.copy()
    assert standing(house) == set(DOORS)
    act(house)
    assert standing(house) == set(DOORS) - shut
    house.browser.cookies = cookies


def test_every_door_looks_again_within_five_seconds() -> None:
    assert max(hub.CHECK_S, table.REFRESH_S, sessions.LOOK_S) <= 4, "and a second for the look itself"
