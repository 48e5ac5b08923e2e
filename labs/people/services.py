"""Making and changing people, their keys, tokens and invitations. Every change is an event."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.http import int_to_base36

from labs.bus.bus import publish
from labs.bus.secrets import secret_digest, secret_new
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.keys import BadKey, PublicKey, parse_public_key
from labs.people.models import ApiToken, Group, Invitation, Membership, Role, SshKey, User
from labs.people.possession import is_proved, sign_command
from labs.people.queries import person_held

TOKEN_PREFIX = "gpa_"
MOST_KEYS = 20
MOST_TOKENS = 20


def person_create(*, email: str, display_name: str, role: str, group: Group | None, actor: User | None, now: datetime, password: str | None = None) -> User:
    """Make an account. Without a password it can be entered only by a reset link. Refused on a taken or bad address."""
    email = _email_checked(email)
    if role not in Role.values:
        raise Refused(f"There is no role {role!r}.", field="role")
    with transaction.atomic():
        User.objects.select_for_update().order_by("pk").first()  # one account at a time: a whole class may accept its invitations at once
        if User.objects.filter(email__iexact=email).exists():
            raise Refused(f"{email} has an account already.", field="email")
        user = User(username=email, email=email, display_name=display_name.strip()[:100], role=role, uid=_uid_next(), passes_not_before=now)
        user.is_staff = user.is_superuser = role == Role.ADMINISTRATOR
        if password is not None:
            _password_checked(password, user)
        user.set_password(password)
        user.save()
        if group:
            Membership.objects.create(user=user, group=group)
        event_record(kind="person.created", subject=_subject(user), words=f"Account of {user} made, as {role}.", actor=actor, now=now, role=role)
    return user


def person_update(*, user: User, display_name: str, role: str, actor: User | None, now: datetime) -> None:
    """Change name or role; a role holds from the next request on."""
    if role not in Role.values:
        raise Refused(f"There is no role {role!r}.", field="role")
    if actor and user.pk == actor.pk and user.role == Role.ADMINISTRATOR and role != Role.ADMINISTRATOR:
        raise Refused("You cannot take the administrator's role from yourself: ask another administrator.", field="role")
    with transaction.atomic():
        was = user.role
        user.display_name, user.role = display_name.strip()[:100], role
        user.is_staff = user.is_superuser = role == Role.ADMINISTRATOR
        user.save(update_fields=["display_name", "role", "is_staff", "is_superuser"])
        event_record(kind="person.changed", subject=_subject(user), words=f"{user}: {was} → {role}.", actor=actor, now=now, was=was, role=role)
        _revoked(user)


def people_role_set(*, users: Iterable[User], role: str, actor: User, now: datetime) -> int:
    """Give all of them a role; how many have another one now. All or nobody."""
    with transaction.atomic():
        changing = [user for user in users if user.role != role]
        for user in changing:
            person_update(user=user, display_name=user.display_name, role=role, actor=actor, now=now)
    return len(changing)


def person_groups_set(*, user: User, groups: list[Group], actor: User | None, now: datetime) -> None:
    """Put the person into exactly these groups."""
    with transaction.atomic():
        Membership.objects.filter(user=user).exclude(group__in=groups).delete()
        for group in groups:
            Membership.objects.get_or_create(user=user, group=group)
        names = ", ".join(str(group) for group in groups) or "none"
        event_record(kind="person.groups", subject=_subject(user), words=f"Groups of {user}: {names}.", actor=actor, now=now)


def person_disable(*, user: User, actor: User, now: datetime) -> None:
    """Shut every door to this person at once. Their labs are stopped by the next tick; their files stay."""
    if user.pk == actor.pk:
        raise Refused("You cannot disable your own account.")
    with transaction.atomic():
        user.is_active, user.passes_not_before = False, now
        user.save(update_fields=["is_active", "passes_not_before"])
        event_record(kind="person.disabled", subject=_subject(user), words=f"{user} was disabled.", actor=actor, now=now)
        _revoked(user)


def person_enable(*, user: User, actor: User, now: datetime) -> None:
    """Let a disabled person in again."""
    with transaction.atomic():
        user.is_active = True
        user.save(update_fields=["is_active"])
        event_record(kind="person.enabled", subject=_subject(user), words=f"{user} was enabled again.", actor=actor, now=now)
        _revoked(user)


def passes_revoke(*, user: User, actor: User | None, now: datetime) -> None:
    """Refuse every pass made until now (after a changed password or "sign out everywhere")."""
    with transaction.atomic():
        user.passes_not_before = now
        user.save(update_fields=["passes_not_before"])
        event_record(kind="person.passes", subject=_subject(user), words=f"All passes of {user} were revoked.", actor=actor, now=now)
        _revoked(user)


def invitation_create(*, email: str, role: str, group: Group | None, actor: User, now: datetime) -> tuple[Invitation, str]:
    """An invitation and its secret, which is shown once as a link."""
    email = _email_checked(email)
    if role not in Role.values:
        raise Refused(f"There is no role {role!r}.", field="role")
    if User.objects.filter(email__iexact=email).exists():
        raise Refused(f"{email} has an account already.", field="email")
    secret = secret_new("gpi_")
    with transaction.atomic():
        days = settings.DEFAULTS["sessions"]["invite_days"]
        invitation = Invitation.objects.create(
            email=email, role=role, group=group, digest=secret_digest(secret), created_by=actor, created_at=now, expires_at=now + timedelta(days=days)
        )
        event_record(kind="person.invited", subject=f"invitation:{invitation.pk}", words=f"{email} was invited as {role}.", actor=actor, now=now)
    return invitation, secret


def invitation_withdraw(*, invitation_id: int, actor: User, now: datetime) -> Invitation:
    """Let an open invitation end now: its link makes no account any more. Invitation.DoesNotExist when it is not open."""
    with transaction.atomic():
        found = Invitation.objects.select_for_update().get(pk=invitation_id, accepted_at=None, expires_at__gt=now)
        found.expires_at = now
        found.save(update_fields=["expires_at"])
        words = f"The invitation of {found.email} was withdrawn."
        event_record(kind="person.uninvited", subject=f"invitation:{found.pk}", words=words, actor=actor, now=now)
    return found


def invitation_accept(*, secret: str, display_name: str, password: str, now: datetime) -> User:
    """Make the account that the invitation promises. Refused when it was used, withdrawn or is too old."""
    with transaction.atomic():
        found = Invitation.objects.select_for_update().filter(digest=secret_digest(secret), accepted_at=None, expires_at__gt=now).first()
        if found is None:
            raise Refused("This invitation was used already or has expired. Ask for a new one.")
        user = person_create(email=found.email, display_name=display_name, role=found.role, group=found.group, actor=None, now=now, password=password)
        found.accepted_at = now
        found.save(update_fields=["accepted_at"])
    return user


def reset_link_create(*, user: User, actor: User, now: datetime) -> tuple[str, str]:
    """The two parts (uid, key) of a password reset link that an administrator hands out where there is no mail server."""
    if not user.is_active:
        raise Refused(f"{user} is disabled.")
    event_record(kind="person.reset", subject=_subject(user), words=f"A reset link for {user} was handed out.", actor=actor, now=now)
    return int_to_base36(user.pk), default_token_generator.make_token(user)


def ssh_key_add(*, user: User, name: str, text: str, now: datetime, proof: str = "") -> SshKey:
    """Add a public key after a library has parsed it. Refused with the words of what is wrong with it.

    A key that another person has moves here for a `proof` that it is held here: anybody can add what is public, only one can sign.
    """
    try:
        key = parse_public_key(text)
    except BadKey as error:
        raise Refused(str(error), field="text") from error
    holder = _key_holder(user, key, proof, now)
    try:
        with person_held(user=user):
            if user.ssh_keys.count() >= MOST_KEYS:
                raise Refused(f"You have {MOST_KEYS} keys already; remove one that you no longer use.", field="text")
            if holder:
                _key_moved(holder, now)
            row = {"kind": key.kind, "public_key": key.line, "fingerprint": key.fingerprint, "comment": key.comment, "created_at": now}
            made = SshKey.objects.create(user=user, name=(name.strip() or key.comment or key.kind)[:100], **row)
            event_record(kind="key.added", subject=_subject(user), words=f"SSH key {key.fingerprint} added.", actor=user, now=now)
    except IntegrityError as error:
        raise Refused("Somebody added this key just now. Try again.", field="text") from error
    return made


def _key_holder(user: User, key: PublicKey, proof: str, now: datetime) -> SshKey | None:
    """The other person's row of that key, if `user` has proved that it is theirs. Refused otherwise, with what to do."""
    held = SshKey.objects.select_related("user").filter(fingerprint=key.fingerprint).first()
    if held is None:
        return None
    if held.user_id == user.pk:
        raise Refused(f"You have this key already: {held.name}.", field="text")
    if is_proved(user_id=user.pk, line=key.line, fingerprint=key.fingerprint, signature=proof, now=now):
        return held
    command = sign_command(user_id=user.pk, fingerprint=key.fingerprint, now=now)
    words = "That is no signature of these words by this key." if proof else "Another account has this key. If it is yours, prove it and it comes to yours."
    raise Refused(f"{words} Run this where the private key is, and give what it prints as the proof: {command}", field="proof", code="proof_needed")


def _key_moved(held: SshKey, now: datetime) -> None:
    words = f"SSH key {held.fingerprint} left: another person proved that it is theirs."
    event_record(kind="key.moved", subject=_subject(held.user), words=words, actor=None, now=now)
    held.delete()
    _revoked(held.user)


def ssh_key_remove(*, user: User, key_id: int, now: datetime) -> None:
    """Remove one of one's own keys; connections made with it are cut."""
    with transaction.atomic():
        key = SshKey.objects.get(user=user, pk=key_id)
        event_record(kind="key.removed", subject=_subject(user), words=f"SSH key {key.fingerprint} removed.", actor=user, now=now)
        key.delete()
        _revoked(user)


def token_create(*, user: User, name: str, scope: str, now: datetime, days: int | None = None) -> tuple[ApiToken, str]:
    """An API token and its secret, which is shown once."""
    days = settings.DEFAULTS["sessions"]["api_token_days"] if days is None else days
    if scope not in ApiToken.Scope.values or (scope == ApiToken.Scope.ADMIN and not user.is_administrator):
        raise Refused("You cannot make a token of that scope.", field="scope")
    if not 1 <= days <= 365:
        raise Refused("A token lives from 1 to 365 days.", field="days")
    secret = secret_new(TOKEN_PREFIX)
    with person_held(user=user):
        if user.api_tokens.filter(revoked_at=None, expires_at__gt=now).count() >= MOST_TOKENS:
            raise Refused(f"You have {MOST_TOKENS} tokens already; revoke one first.", field="name")
        token = ApiToken.objects.create(
            user=user,
            name=name.strip()[:100] or "token",
            prefix=secret[:10],
            digest=secret_digest(secret),
            scope=scope,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        event_record(kind="token.created", subject=_subject(user), words=f"API token {token} made.", actor=user, now=now)
    return token, secret


def token_revoke(*, user: User, token_id: int, now: datetime) -> None:
    """Revoke one of one's own tokens."""
    with transaction.atomic():
        token = ApiToken.objects.get(user=user, pk=token_id)
        token.revoked_at = now
        token.save(update_fields=["revoked_at"])
        event_record(kind="token.revoked", subject=_subject(user), words=f"API token {token} revoked.", actor=user, now=now)
        _revoked(user)


def group_create(*, kind: str, name: str, slug: str, parent: Group | None, actor: User, now: datetime, encrypted_only: bool = False) -> Group:
    """Add a node to the tree. Refused on a taken name, or a team or course that hangs nowhere."""
    if kind not in Group.Kind.values:
        raise Refused("A group is an organisation, a team or a course.", field="kind")
    if (kind == Group.Kind.ORGANISATION) != (parent is None):
        raise Refused("An organisation is a root; teams and courses hang below one.", field="parent")
    try:
        with transaction.atomic():
            group = Group.objects.create(kind=kind, name=name.strip()[:100], slug=slug, parent=parent, encrypted_only=encrypted_only)
            event_record(kind="group.created", subject=f"group:{group.pk}", words=f"{group.get_kind_display()} {group} made.", actor=actor, now=now)
    except IntegrityError as error:
        raise Refused(f"There is a group {slug!r} already.", field="slug") from error
    return group


def _uid_next() -> int:
    """The next Unix user id of the configured range; accounts are made one at a time."""
    used = User.objects.aggregate(top=Max("uid"))["top"]
    uid = max(settings.UID_BASE, (used or 0) + 1)
    if uid >= settings.UID_BASE + settings.UID_COUNT:
        raise Refused("No Unix user ids are left in GPULAB_UID_BASE and GPULAB_UID_COUNT.")
    return int(uid)


def _email_checked(email: str) -> str:
    email = email.strip().lower()
    _checked(lambda: validate_email(email), field="email")
    return email


def _password_checked(password: str, user: User) -> None:
    _checked(lambda: validate_password(password, user), field="password")


def _checked(check: Callable[[], None], *, field: str) -> None:
    try:
        check()
    except ValidationError as error:
        raise Refused(" ".join(error.messages), field=field) from error


def _revoked(user: User) -> None:
    publish(f"person.{user.pk}", "revoked")
    publish("relay", "person", person=user.pk)


def _subject(user: User | AnonymousUser) -> str:
    return f"person:{user.pk}"
