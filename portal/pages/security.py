"""The headers that keep a page's content its own."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

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
            f"form-action 'self' {lab_origins}",
        )
    )


def security_headers(get_response: Next) -> Next:
    """Set the policy on every answer that does not bring its own."""
    policy = content_security_policy()

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return middleware
