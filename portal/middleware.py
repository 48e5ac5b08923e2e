"""Headers of every page: a strict content policy, with the labs' own origins as the only place a form may lead to."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse


def content_policy() -> str:
    """The policy: everything from ourselves, nothing inline."""
    labs = f"{settings.LABS_SCHEME}://*.{settings.LABS_DOMAIN}:{settings.LABS_PORT}"
    return (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {labs}; connect-src 'self'"
    )


class SecurityHeaders:
    """Adds the policy to every answer; Django's admin has a looser one because it needs inline style."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.policy = content_policy()
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Pass on and add the headers."""
        if iscoroutinefunction(self.get_response):
            return self._later(request)
        return self._headed(request, self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        return self._headed(request, await self.get_response(request))

    def _headed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        looser = "; style-src 'self' 'unsafe-inline'" if request.path.startswith("/admin/") else ""
        response.headers.setdefault("Content-Security-Policy", self.policy + looser)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response
