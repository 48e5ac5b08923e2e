"""Browsers that a person has signed in with before, by a signed cookie; a new one is told to its owner."""

from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from labs.ledger.services import event_record
from labs.notices.services import notice_queue
from labs.people.models import User
from portal.pages.templatetags.gpulab import browser

COOKIE = "__Host-gpulab_known" if settings.SESSION_COOKIE_SECURE else "gpulab_known"
SALT, LASTS = "gpulab.known", timedelta(days=400)
#: People of one shared machine that the cookie has room for.
MOST = 20


def known_people(request: HttpRequest) -> list[int]:
    """Who has signed in with this browser before."""
    try:
        told = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LASTS)
    except signing.BadSignature:
        return []
    return [one for one in told if isinstance(one, int)] if isinstance(told, list) else []


def known_keep(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """From now on this browser is one of the person's."""
    people = [user.pk, *(one for one in known_people(request) if one != user.pk)][:MOST]
    options = {"httponly": True, "secure": settings.SESSION_COOKIE_SECURE, "samesite": "Lax"}
    response.set_cookie(COOKIE, signing.dumps(people, salt=SALT), max_age=LASTS, **options)


def newcomer_tell(*, user: User, agent: str, address: str, now: datetime) -> None:
    """Tell a person of a sign-in with a browser that was not theirs before."""
    words = f"Somebody signed in as you with {browser(agent)} from {address}. If that was you, there is nothing to do."
    advice = "If it was not, sign out everywhere on your account's page of sessions and change your password."
    notice_queue(user=user, kind="sign_in", subject="A new browser signed in as you", words=f"{words}\n\n{advice}", now=now, url="/account/sessions/")


def factor_changed_tell(*, user: User, words: str, now: datetime) -> None:
    """Write down that a second factor has changed, and tell its owner."""
    with transaction.atomic():
        event_record(kind="person.factor", subject=f"person:{user.pk}", words=words, actor=user, now=now)
        advice = "If that was not you, sign out everywhere on your account's page of sessions and change your password."
        notice_queue(user=user, kind="sign_in", subject="Your second factor has changed", words=f"{words}\n\n{advice}", now=now, url="/accounts/2fa/")
