"""Signing a program in from a browser: it shows a short code, its person approves it on a page, and it fetches its token once."""

import secrets
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from labs.bus.secrets import secret_digest, secret_new
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import ApiToken, DeviceLogin, User
from labs.people.services import token_create

SECRET_PREFIX = "gpd_"
#: No vowels and nothing that looks like something else: a code is read from one screen and typed on another.
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
LASTS = timedelta(minutes=10)
#: How often the program may ask whether it was approved.
POLL_S = 3


def device_begin(*, client: str, scope: str, now: datetime) -> tuple[DeviceLogin, str]:
    """A program asks to be signed in: the row with the code to show, and the secret with which it asks for its token."""
    if scope not in ApiToken.Scope.values:
        raise Refused(f"There is no scope {scope!r}.", field="scope")
    DeviceLogin.objects.filter(expires_at__lt=now - LASTS).delete()
    secret = secret_new(SECRET_PREFIX)
    while True:
        try:
            with transaction.atomic():
                row = DeviceLogin.objects.create(
                    code=_code_new(),
                    digest=secret_digest(secret),
                    client=client.strip()[:100] or "a program",
                    scope=scope,
                    created_at=now,
                    expires_at=now + LASTS,
                )
        except IntegrityError:  # somebody else's code, once in a great while
            continue
        return row, secret


def device_answer(*, user: User, code: str, approve: bool, now: datetime) -> DeviceLogin:
    """The person says yes or no to the program that shows this code. Refused for a code that nobody shows now."""
    with transaction.atomic():
        row = DeviceLogin.objects.select_for_update(of=("self",)).filter(code=code_plain(code), answered_at=None, expires_at__gt=now).first()
        if row is None:
            raise Refused("No program shows this code now. Look at it again, or start the sign-in anew.", field="code")
        if approve and row.scope == ApiToken.Scope.ADMIN and not user.is_administrator:
            raise Refused("It asks for administrators' rights, which you do not have.", field="code")
        row.user, row.approved, row.answered_at = user, approve, now
        row.save(update_fields=["user", "approved", "answered_at"])
        words = f"Signing in {row.client} was {'approved' if approve else 'refused'}."
        event_record(kind="device.approved" if approve else "device.refused", subject=f"person:{user.pk}", words=words, actor=user, now=now)
    return row


def device_redeem(*, secret: str, now: datetime) -> tuple[ApiToken, str]:
    """The token of an approved program, once. Refused with the code pending, denied or expired."""
    with transaction.atomic():
        row = DeviceLogin.objects.select_for_update(of=("self",)).select_related("user").filter(digest=secret_digest(secret), expires_at__gt=now).first()
        if row is None or row.redeemed_at is not None:
            raise Refused("This sign-in is over. Start it anew.", code="expired")
        if row.answered_at is None:
            raise Refused("Nobody has approved it yet.", code="pending")
        if not row.approved or row.user is None or not row.user.is_active:
            raise Refused("The sign-in was refused.", code="denied")
        row.redeemed_at = now
        row.save(update_fields=["redeemed_at"])
        return token_create(user=row.user, name=row.client, scope=row.scope, now=now)


def code_plain(text: str) -> str:
    """The code as it is kept, however it was typed."""
    return "".join(letter for letter in text.upper() if letter in LETTERS)[:8]


def _code_new() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(8))
