"""The headers that keep a page's content its own."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from labs.people.models import User
from portal.factors import factor_missing

#: Where somebody may go who has to set up a second factor first.
BEFORE_THE_FACTOR = ("/accounts/2fa/", "/accounts/reauthenticate/", "/accounts/logout/", "/accounts/password/", "/static/", "/healthz", "/api/")

Next = Callable[[HttpRequest], HttpResponse]


def content_security_policy() -> str:
    """Nothing from elsewhere and nothing inline; forms may also lead to a lab's own origin (the Open button)."""
    port = "" if settings.LABS_PORT in (80, 443) else f":{settings.LABS_PORT}"
    lab_origins = " ".join(f"{settings.LABS_SCHEME}://{host}{port}" for host in (f"*.{settings.LABS_DOMAIN}", settings.LABS_DOMAIN))
    return "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            " ".join(filter(None, ("form-action 'self'", lab_origins, _campus_origin()))),
        )
    )


def _campus_origin() -> str:
    """Where the button of the campus's sign-in leads to, once it was posted here."""
    issuer = urlsplit(settings.OIDC_ISSUER)
    return f"{issuer.scheme}://{issuer.netloc}" if issuer.netloc else ""


def security_headers(get_response: Next) -> Next:
    """Set the policy on every answer that does not bring its own."""
    policy = content_security_policy()

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        if request.method == "POST" and request.path == reverse("account_logout"):
            response.headers["Clear-Site-Data"] = '"cache"'
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return middleware


def second_factor_demanded(get_response: Next) -> Next:
    """Lead those who must have a second factor to where they set one up, before anything else. API tokens are judged by the API."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(BEFORE_THE_FACTOR) or not isinstance(request.user, User) or not factor_missing(request.user):
            return get_response(request)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"HX-Redirect": reverse("mfa_index")})
        messages.warning(request, "Administrators need a second factor here. Set one up, and you go on.")
        return redirect("mfa_index")

    return middleware
