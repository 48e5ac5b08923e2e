"""When somebody was last seen at a device: written down once a minute, and not at every click."""

from hashlib import sha256

from allauth.account.adapter import get_adapter
from allauth.usersessions.middleware import UserSessionsMiddleware
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

EVERY_S = 60


class Presence(UserSessionsMiddleware):
    """As allauth's, which writes at every request. A session that comes from elsewhere, or by another browser, is written at once."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Note it, and go on."""
        answer: HttpResponse = self.get_response(request) if _noted(request) else super().__call__(request)
        return answer


def _noted(request: HttpRequest) -> bool:
    """Was this session noted within the minute, from there and by that browser?"""
    key = request.session.session_key
    if not key or not request.user.is_authenticated:
        return False
    what = f"{key} {get_adapter().get_client_ip(request)} {request.headers.get('User-Agent', '')}"
    return not cache.add(f"seen:{sha256(what.encode()).hexdigest()}", True, EVERY_S)
