"""The front of the house: each door brings its own paths."""

from django.contrib import admin
from django.urls import include, path

from portal.health import healthz
from portal.pages.errors import closed

#: What allauth offers and this house does not: addresses are an administrator's to change, and the account page lists sessions.
CLOSED = (
    "email/",
    "confirm-email/",
    "confirm-email/<str:key>/",
    "login/code/confirm/",
    "sessions/",
    "3rdparty/",
    "3rdparty/signup/",
    *(f"social/{each}/" for each in ("login/cancelled", "login/error", "signup", "connections")),
)

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include("portal.api.urls")),
    *(path(f"accounts/{each}", closed) for each in CLOSED),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("", include("portal.entry.urls")),
    path("", include("portal.pages.urls")),
]

handler400 = "portal.pages.errors.bad_request"
handler403 = "portal.pages.errors.forbidden"
handler404 = "portal.pages.errors.not_found"
handler500 = "portal.pages.errors.server_error"
