"""People, their tokens, invitations, keys and groups; every change is an event."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from labs.ledger.models import Event
from labs.people.errors import Refused
from labs.people.models import ApiToken, Invitation, User
from labs.people.queries import group_ids_with_ancestors, invitation_by_secret, person_by_token, ssh_key_by_fingerprint
from labs.people.services import (
    group_create,
    invitation_accept,
    invitation_create,
    passes_revoke,
    person_create,
    person_disable,
    person_enable,
    person_groups_set,
    person_update,
    ssh_key_add,
    ssh_key_remove,
    token_create,
    token_revoke,
)

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJC+cwIoKFOV2KU+Ssp2mJ1WUJuIGJ6NwaS5D5SYVXWr alice@laptop"
PASSWORD = "nine-green-bottles-hang"


def _person(email: str, now: Any, **fields: Any) -> User:
    return person_create(**({"email": email, "display_name": "X", "role": "student", "group": None, "actor": None, "now": now} | fields))


def test_everybody_gets_a_unix_user_of_their_own_that_is_never_root(now: Any, settings: Any) -> None:
    uids = [_person(f"p{n}@example.edu", now).uid for n in range(3)]
    assert uids == [settings.UID_BASE, settings.UID_BASE + 1, settings.UID_BASE + 2]


def test_an_address_has_one_account_whatever_its_capitals(alice: Any, now: Any) -> None:
    with pytest.raises(Refused, match="has an account already"):
        _person("ALICE@Example.edu", now)


@pytest.mark.parametrize("email", ["", "x", "a@b", "a b@example.edu", "a@example.edu\n.x", "a\0@example.edu"])
def test_an_address_that_is_none_makes_nobody(db: Any, now: Any, email: str) -> None:
    with pytest.raises(Refused) as refused:
        _person(email, now)
    assert refused.value.field == "email" and not User.objects.exists()


@pytest.mark.parametrize("password", ["short", "password12", "12345678901"])
def test_a_weak_password_makes_nobody(db: Any, now: Any, password: str) -> None:
    with pytest.raises(Refused) as refused:
        _person("new@example.edu", now, password=password)
    assert refused.value.field == "password" and not User.objects.exists()


def test_an_unknown_role_makes_nobody(db: Any, now: Any) -> None:
    with pytest.raises(Refused, match="no role 'king'"):
        _person("new@example.edu", now, role="king")


def test_an_account_without_a_password_cannot_be_signed_into(now: Any, db: Any) -> None:
    assert not _person("new@example.edu", now).has_usable_password()


def test_a_changed_role_is_an_event_and_reaches_djangos_admin_too(alice: Any, root_admin: Any, now: Any) -> None:
    person_update(user=alice, display_name="Alice", role="administrator", actor=root_admin, now=now)
    alice.refresh_from_db()
    assert alice.is_administrator and alice.is_staff
    assert Event.objects.filter(kind="person.changed", actor_id=root_admin.pk, fact__was="researcher").exists()


def test_an_administrator_cannot_shut_themselves_out(root_admin: Any, now: Any) -> None:
    with pytest.raises(Refused):
        person_update(user=root_admin, display_name="Root", role="student", actor=root_admin, now=now)
    with pytest.raises(Refused):
        person_disable(user=root_admin, actor=root_admin, now=now)
    assert User.objects.get(pk=root_admin.pk).is_administrator


def test_a_disabled_person_is_out_until_enabled_again(alice: Any, root_admin: Any, now: Any) -> None:
    secret = token_create(user=alice, name="x", scope="read", now=now)[1]
    later = now + timedelta(seconds=5)
    person_disable(user=alice, actor=root_admin, now=later)
    assert person_by_token(secret=secret, now=later) is None and User.objects.get(pk=alice.pk).passes_not_before == later
    person_enable(user=User.objects.get(pk=alice.pk), actor=root_admin, now=later)
    assert person_by_token(secret=secret, now=later) is not None


def test_revoked_passes_are_dated(alice: Any, now: Any) -> None:
    passes_revoke(user=alice, actor=alice, now=now + timedelta(minutes=1))
    assert User.objects.get(pk=alice.pk).passes_not_before == now + timedelta(minutes=1)


# ------------------------------------------------------------------ tokens


def test_a_token_is_kept_as_a_digest_and_found_by_its_secret(alice: Any, now: Any) -> None:
    token, secret = token_create(user=alice, name=" laptop ", scope="launch", now=now)
    assert secret.startswith("gpa_") and secret not in str(ApiToken.objects.values().get())
    found = person_by_token(secret=secret, now=now)
    assert found is not None and found.user == alice and token.name == "laptop" and secret.startswith(token.prefix)
    assert person_by_token(secret=secret + "x", now=now) is None and person_by_token(secret="", now=now) is None


def test_a_token_ends_by_the_clock_or_by_its_owner(alice: Any, now: Any) -> None:
    token, secret = token_create(user=alice, name="x", scope="read", now=now, days=1)
    assert person_by_token(secret=secret, now=now + timedelta(hours=23)) is not None
    assert person_by_token(secret=secret, now=now + timedelta(days=1)) is None
    token_revoke(user=alice, token_id=token.pk, now=now)
    assert person_by_token(secret=secret, now=now) is None


@pytest.mark.parametrize("days", [0, -1, 366])
def test_a_token_lives_from_a_day_to_a_year(alice: Any, now: Any, days: int) -> None:
    with pytest.raises(Refused) as refused:
        token_create(user=alice, name="x", scope="read", now=now, days=days)
    assert refused.value.field == "days" and not ApiToken.objects.exists()


@pytest.mark.parametrize("scope", ["admin", "root", ""])
def test_nobody_makes_a_token_of_more_than_they_are(alice: Any, now: Any, scope: str) -> None:
    with pytest.raises(Refused):
        token_create(user=alice, name="x", scope=scope, now=now)


def test_a_token_of_somebody_else_cannot_be_revoked(alice: Any, bob: Any, now: Any) -> None:
    token, secret = token_create(user=alice, name="x", scope="read", now=now)
    with pytest.raises(ApiToken.DoesNotExist):
        token_revoke(user=bob, token_id=token.pk, now=now)
    assert person_by_token(secret=secret, now=now) is not None


def test_tokens_have_an_end_of_number(alice: Any, now: Any) -> None:
    for _ in range(20):
        token_create(user=alice, name="x", scope="read", now=now)
    with pytest.raises(Refused, match="20 tokens"):
        token_create(user=alice, name="x", scope="read", now=now)


# ------------------------------------------------------------------ invitations


def test_an_invitation_makes_the_account_it_promises_once(root_admin: Any, team: Any, now: Any) -> None:
    invitation, secret = invitation_create(email="New@example.edu", role="teacher", group=team, actor=root_admin, now=now)
    assert secret not in str(Invitation.objects.values().get()) and invitation_by_secret(secret=secret, now=now) == invitation
    user = invitation_accept(secret=secret, display_name="Nora", password=PASSWORD, now=now)
    assert (user.email, user.role, user.check_password(PASSWORD)) == ("new@example.edu", "teacher", True)
    assert [one.group for one in user.memberships.all()] == [team]
    with pytest.raises(Refused, match="used already"):
        invitation_accept(secret=secret, display_name="Nora", password=PASSWORD, now=now)


def test_an_old_or_invented_invitation_makes_nobody(root_admin: Any, now: Any) -> None:
    secret = invitation_create(email="new@example.edu", role="student", group=None, actor=root_admin, now=now)[1]
    for bad, at in ((secret, now + timedelta(days=7)), ("gpi_invented", now)):
        with pytest.raises(Refused):
            invitation_accept(secret=bad, display_name="N", password=PASSWORD, now=at)
    assert User.objects.count() == 1


def test_a_refused_password_leaves_the_invitation_open(root_admin: Any, now: Any) -> None:
    secret = invitation_create(email="new@example.edu", role="student", group=None, actor=root_admin, now=now)[1]
    with pytest.raises(Refused):
        invitation_accept(secret=secret, display_name="N", password="short", now=now)
    assert invitation_by_secret(secret=secret, now=now) is not None


@pytest.mark.django_db(transaction=True)
def test_a_class_that_accepts_at_once_gets_an_account_each(root_admin: Any, now: Any) -> None:
    secrets = [invitation_create(email=f"s{n}@example.edu", role="student", group=None, actor=root_admin, now=now)[1] for n in range(8)]
    together = Barrier(len(secrets))

    def accept(secret: str) -> int:
        together.wait()
        try:
            return invitation_accept(secret=secret, display_name="S", password=PASSWORD, now=now).uid
        finally:
            connection.close()

    with ThreadPoolExecutor(len(secrets)) as pool:
        uids = list(pool.map(accept, secrets))
    assert len(set(uids)) == len(secrets)


# ------------------------------------------------------------------ keys and groups


def test_a_key_is_one_persons_and_found_by_its_fingerprint(alice: Any, bob: Any, now: Any) -> None:
    key = ssh_key_add(user=alice, name="", text=KEY, now=now)
    found = ssh_key_by_fingerprint(fingerprint=key.fingerprint)
    assert found is not None and found.user == alice
    with pytest.raises(Refused, match="You have this key already"):
        ssh_key_add(user=alice, name="again", text=KEY, now=now)
    with pytest.raises(Refused, match="Another account has this key"):
        ssh_key_add(user=bob, name="mine", text=KEY, now=now)
    ssh_key_remove(user=alice, key_id=key.pk, now=now)
    assert ssh_key_by_fingerprint(fingerprint=key.fingerprint) is None


@pytest.mark.parametrize(
    "text", ["", "x", "ssh-rsa", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", KEY + "\n" + KEY, "\0", "ssh-dss AAAAB3NzaC1kc3M="]
)
def test_what_is_no_key_is_refused_in_words(alice: Any, now: Any, text: str) -> None:
    with pytest.raises(Refused) as refused:
        ssh_key_add(user=alice, name="x", text=text, now=now)
    assert refused.value.field == "text" and len(refused.value.words) > 20 and not alice.ssh_keys.exists()


def test_a_disabled_persons_key_opens_nothing(alice: Any, root_admin: Any, now: Any) -> None:
    key = ssh_key_add(user=alice, name="x", text=KEY, now=now)
    person_disable(user=alice, actor=root_admin, now=now)
    assert ssh_key_by_fingerprint(fingerprint=key.fingerprint) is None


def test_groups_hang_in_a_tree_and_are_inherited_from_above(alice: Any, team: Any, root_admin: Any, now: Any) -> None:
    assert group_ids_with_ancestors(user=alice) == [team.pk, team.parent_id]
    with pytest.raises(Refused, match="hang below"):
        group_create(kind="team", name="Loose", slug="loose", parent=None, actor=root_admin, now=now)
    with pytest.raises(Refused, match="a group 'vision' already"):
        group_create(kind="team", name="Vision 2", slug="vision", parent=team.parent, actor=root_admin, now=now)


def test_a_person_is_in_exactly_the_groups_that_were_set(alice: Any, team: Any, root_admin: Any, now: Any) -> None:
    course = group_create(kind="course", name="ML", slug="ml", parent=team.parent, actor=root_admin, now=now)
    person_groups_set(user=alice, groups=[course], actor=root_admin, now=now)
    assert [one.group for one in alice.memberships.all()] == [course]
