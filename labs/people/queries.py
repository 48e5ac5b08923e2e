"""Finding people, by what they show."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from labs.bus.secrets import secret_digest
from labs.people.models import ApiToken, DeviceLogin, Group, Invitation, Membership, Role, SshKey, User

#: A token's or key's "last used" is written at most this often, so that a busy client does not write at every call.
TOUCH_EVERY = timedelta(minutes=1)


@contextmanager
def person_held(*, user: User) -> Iterator[None]:
    """A transaction in which nobody else gives this person one more of something: who counts first and adds then is alone."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        yield


def person_by_token(*, secret: str, now: datetime) -> ApiToken | None:
    """The live token of an active person, or None. Looked up by digest: nothing to time."""
    token = ApiToken.objects.select_related("user").filter(digest=secret_digest(secret)).first()
    if token is None or not token.is_live(now) or not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at > TOUCH_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def device_waiting(*, code: str, now: datetime) -> DeviceLogin | None:
    """The program that shows this code and waits for an answer."""
    return DeviceLogin.objects.filter(code=code, answered_at=None, expires_at__gt=now).first() if code else None


def ssh_key_by_fingerprint(*, fingerprint: str) -> SshKey | None:
    """The key and, with it, its active owner; None for keys that nobody has."""
    return SshKey.objects.select_related("user").filter(fingerprint=fingerprint, user__is_active=True).first()


def ssh_key_touch(*, key_id: int, now: datetime) -> None:
    """Note that a key was used."""
    SshKey.objects.filter(pk=key_id).update(last_used_at=now)


def ssh_keys_standing(*, key_ids: Iterable[int]) -> set[int]:
    """Those of the keys that still exist and whose owner is active."""
    return set(SshKey.objects.filter(pk__in=list(key_ids), user__is_active=True).values_list("pk", flat=True))


def invitation_by_secret(*, secret: str, now: datetime) -> Invitation | None:
    """An invitation that can still be accepted."""
    return Invitation.objects.filter(digest=secret_digest(secret), accepted_at=None, expires_at__gt=now).first()


def invitations_open(*, now: datetime) -> QuerySet[Invitation]:
    """Invitations that nobody has accepted yet."""
    return Invitation.objects.select_related("group", "created_by").filter(accepted_at=None, expires_at__gt=now)


def people_all(*, text: str = "") -> QuerySet[User]:
    """Everybody, by name; `text` is part of a name or address."""
    found = User.objects.prefetch_related("memberships__group").order_by("display_name", "email")
    if text:
        found = found.filter(display_name__icontains=text) | found.filter(email__icontains=text)
    return found


def groups_tree() -> list[tuple[int, Group]]:
    """Depth and group, parents before children."""
    by_parent: dict[int | None, list[Group]] = {}
    for group in Group.objects.order_by("name"):
        by_parent.setdefault(group.parent_id, []).append(group)
    rows: list[tuple[int, Group]] = []

    def walk(parent: int | None, depth: int) -> None:
        for group in by_parent.get(parent, []):
            rows.append((depth, group))
            walk(group.pk, depth + 1)

    walk(None, 0)
    return rows


def group_ids_with_ancestors(*, user: User) -> list[int]:
    """The person's groups and all above them: overrides are inherited downwards."""
    return list(groups_by_person(user_ids=[user.pk]).get(user.pk, ()))


def groups_by_person(*, user_ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Each person's groups with all above them, nearest first, in two queries; who is in none is left out."""
    parents = _parents()
    found: dict[int, list[int]] = {}
    rows = Membership.objects.filter(user_id__in=list(user_ids)).order_by("pk").values_list("user_id", "group_id")
    for user_id, group_id in rows:
        mine = found.setdefault(user_id, [])
        mine += [one for one in _upwards(group_id, parents) if one not in mine]
    return {user_id: tuple(ids) for user_id, ids in found.items()}


def groups_encrypting(*, user_ids: Iterable[int]) -> dict[int, Group]:
    """By person, the nearest group that asks for encrypted workspaces; who is in none is left out. One query where no group asks."""
    asking = {row.pk: row for row in Group.objects.filter(encrypted_only=True)}
    above = groups_by_person(user_ids=user_ids) if asking else {}
    return {user_id: asking[first] for user_id, mine in above.items() if (first := next((one for one in mine if one in asking), None))}


def members_below(*, group_ids: Iterable[int]) -> dict[int, set[int]]:
    """Ids of the people in each of these groups or below it, in two queries."""
    wanted = set(group_ids)
    found: dict[int, set[int]] = {group_id: set() for group_id in wanted}
    if not wanted:
        return found
    parents = _parents()
    for user_id, group_id in Membership.objects.values_list("user_id", "group_id"):
        for one in _upwards(group_id, parents):
            if one in wanted:
                found[one].add(user_id)
    return found


def groups_taught(*, user: User) -> list[Group]:
    """The teams and courses of a teacher: what is below them is theirs too. None for other roles."""
    if user.role != Role.TEACHER or not user.is_active:
        return []
    return list(Group.objects.filter(memberships__user=user).exclude(kind=Group.Kind.ORGANISATION))


def people_taught_ids(*, user: User) -> set[int]:
    """Ids of the people in a teacher's teams and courses, without the teacher."""
    members = members_below(group_ids=[group.pk for group in groups_taught(user=user)])
    return set().union(*members.values()) - {user.pk}


def teachers_of(*, user: User) -> list[User]:
    """The active teachers of the person's teams and courses, and of what those are below of."""
    groups = Group.objects.filter(pk__in=group_ids_with_ancestors(user=user)).exclude(kind=Group.Kind.ORGANISATION)
    return list(User.objects.filter(memberships__group__in=groups, role=Role.TEACHER, is_active=True).exclude(pk=user.pk).distinct())


def _parents() -> dict[int, int | None]:
    return dict(Group.objects.values_list("pk", "parent_id"))


def _upwards(group_id: int, parents: dict[int, int | None]) -> list[int]:
    """The group and all above it."""
    found: list[int] = []
    at: int | None = group_id
    while at is not None and at not in found:
        found.append(at)
        at = parents.get(at)
    return found
