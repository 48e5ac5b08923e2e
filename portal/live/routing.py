"""The websocket's path, who is at its other end, and from which pages it may be opened."""

from urllib.parse import ParseResult

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.urls import path

from portal.live.consumer import LiveConsumer

websocket_urlpatterns = [path("ws/live/", LiveConsumer.as_asgi())]


class PortalOrigin(OriginValidator):  # type: ignore[misc]
    """Only the portal's own pages, compared with scheme and port: a lab may be served from another port of the same host."""

    def validate_origin(self, parsed_origin: ParseResult) -> bool:
        """Is it one of `allowed_origins`, exactly?"""
        return f"{parsed_origin.scheme}://{parsed_origin.netloc}" in self.allowed_origins


def portal_origins() -> list[str]:
    """The portal's address, and on the machine itself its numeric twins."""
    own = settings.PORTAL_URL.rstrip("/")
    if not own.startswith("http://localhost:"):
        return [own, *settings.CSRF_TRUSTED_ORIGINS]
    return [own, *settings.CSRF_TRUSTED_ORIGINS, own.replace("localhost", "127.0.0.1"), own.replace("localhost", "[::1]")]


websocket_application = PortalOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), portal_origins())
