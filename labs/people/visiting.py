"""People at the door: whoever comes by the campus's own sign-in, as the campus says today, and the record of who came and went."""

from datetime import datetime

from django.db import transaction

from labs.ledger.services import event_record
from labs.people.campus import Reading, Visitor, groups_of, role_of
from labs.people.errors import Refused
from labs.people.models import Group, Membership, Role, User
from labs.people.services import person_create, person_groups_set, person_update

NO_ACCOUNT = "You have no account here yet. Ask an administrator for an invitation."
SHUT = "Your account here is disabled. Ask an administrator."


def visitor_enter(*, visitor: Visitor, reading: Reading, now: datetime) -> User:
    """The account of somebody whom the campus vouches for, with today's role and groups.

    Refused for the disabled, and for the unknown where no accounts are made.
    """
    if not visitor.email:
        raise Refused("The campus does not tell your e-mail address, so that no account can be found. Ask an administrator.")
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email__iexact=visitor.email).first()
        if user is None and not reading.makes_accounts:
            raise Refused(NO_ACCOUNT)
        if user is None:
            user = _made(visitor, role_of(visitor, reading.roles) or Role.STUDENT, now)
        if not user.is_active:
            raise Refused(SHUT)
        _role_set(user, role_of(visitor, reading.roles), now)
        _groups_set(user, visitor, reading, now)
    return user


def sign_in_record(*, user: User, what: str, address: str, now: datetime) -> None:
    """Write down that somebody signed in or out as this person, or failed to; `what` is in, out or failed, `address` where from."""
    words = {"in": f"{user} signed in.", "out": f"{user} signed out.", "failed": f"A sign-in as {user} failed."}[what]
    event_record(kind=f"person.sign_{what}", subject=f"person:{user.pk}", words=words, actor=None if what == "failed" else user, now=now, address=address)


def _made(visitor: Visitor, role: str, now: datetime) -> User:
    return person_create(email=visitor.email, display_name=visitor.name or visitor.email.partition("@")[0], role=role, group=None, actor=None, now=now)


def _role_set(user: User, role: str | None, now: datetime) -> None:
    if role and user.role != role:
        person_update(user=user, display_name=user.display_name, role=role, actor=None, now=now)


def _groups_set(user: User, visitor: Visitor, reading: Reading, now: datetime) -> None:
    """Only the groups that the campus decides on change; what an administrator chose besides stays."""
    inside, outside = groups_of(visitor, reading.groups)
    held = set(Membership.objects.filter(user=user).values_list("group__slug", flat=True))
    wanted = (held - outside) | inside
    if wanted != held:
        person_groups_set(user=user, groups=list(Group.objects.filter(slug__in=wanted)), actor=None, now=now)
