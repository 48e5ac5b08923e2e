"""Who may look, asked of the database: at the start, on every revocation and every few seconds, for many at once."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_viewer, labs_of
from labs.people.models import User
from portal.factors import factor_missing
from portal.live.topics import Subscription, lab_of, subscription

#: Values in one query: SQLite takes no more than some thousands.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """What an active person is allowed now, and what their sessions must bear since the last change of password."""

    is_admin: bool
    session_hash: str


@dataclass(frozen=True, slots=True)
class Standings:
    """The answer for many: people who are active, and sessions that are not signed out."""

    people: dict[int, Standing]
    sessions: frozenset[str]


def standings(user_ids: Collection[int], session_keys: Collection[str]) -> Standings:
    """Look many up at once; who is missing in the answer may not look any more."""
    now = timezone.now()
    people = {
        user.pk: Standing(user.is_administrator, user.get_session_auth_hash())
        for chunk in _chunks(user_ids)
        for user in User.objects.filter(pk__in=chunk, is_active=True)
    }
    sessions = frozenset(
        key for chunk in _chunks(session_keys) for key in Session.objects.filter(pk__in=chunk, expire_date__gt=now).values_list("session_key", flat=True)
    )
    return Standings(people, sessions)


def subscribe(user: User, page: str) -> Subscription:
    """What this person hears on this page. Lab.DoesNotExist for a lab that is not theirs to see; PermissionDenied before a factor that they must have."""
    if factor_missing(user):
        raise PermissionDenied
    lab_id = lab_of(page)
    if lab_id:
        return subscription(page, user.pk, {lab_for_viewer(user=user, lab_id=lab_id).pk})
    if page.startswith("lab:"):
        raise Lab.DoesNotExist
    return subscription(page, user.pk, {lab.pk for lab in labs_of(user=user, live=True)} if page == "home" else set())


def _chunks(values: Collection[int] | Collection[str]) -> Iterator[list[int | str]]:
    whole: list[int | str] = list(values)
    for start in range(0, len(whole), CHUNK):
        yield whole[start : start + CHUNK]
