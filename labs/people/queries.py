"""Finding people, by what they show."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import QuerySet

from labs.bus.secrets import secret_digest
from labs.people.models import ApiToken, Group, Invitation, SshKey, User

#: A token's or key's "last used" is written at most this often, so that a busy client does not write at every call.
TOUCH_EVERY = timedelta(minutes=1)


def person_by_token(*, secret: str, now: datetime) -> ApiToken | None:
    """The live token of an active person, or None. Looked up by digest: nothing to time."""
    token = ApiToken.objects.select_related("user").filter(digest=secret_digest(secret)).first()
    if token is None or not token.is_live(now) or not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at > TOUCH_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


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
    parents = dict(Group.objects.values_list("pk", "parent_id"))
    found: list[int] = []
    for start in user.memberships.values_list("group_id", flat=True):
        at: int | None = start
        while at is not None and at not in found:
            found.append(at)
            at = parents.get(at)
    return found
