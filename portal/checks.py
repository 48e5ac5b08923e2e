"""Checks that stop an unsafe installation before it serves anything."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, register


@register
def labs_have_their_own_origin(**_: Any) -> list[Error]:
    """A lab's page runs its author's JavaScript; on the portal's host it could read the portal's cookies."""
    portal = urlsplit(settings.PORTAL_URL).hostname or ""
    labs = settings.LABS_DOMAIN
    embedded = not settings.PRODUCTION and labs == "localhost"
    if not embedded and (portal == labs or portal.endswith("." + labs)):
        return [Error(f"GPULAB_LABS_DOMAIN {labs!r} is the portal's host {portal!r} or above it.", hint="Give labs a name of their own.", id="gpulab.E001")]
    return []


@register
def production_is_whole(**_: Any) -> list[Error]:
    """Production wants TLS outside, PostgreSQL and no wildcard host."""
    if not settings.PRODUCTION:
        return []
    found = []
    if not settings.PORTAL_URL.startswith("https://"):
        found.append(Error("GPULAB_PORTAL_URL must begin with https:// in production.", id="gpulab.E002"))
    if "postgresql" not in settings.DATABASES["default"]["ENGINE"]:
        found.append(Error("GPULAB_DATABASE_URL must name a PostgreSQL database in production.", id="gpulab.E003"))
    if "*" in settings.ALLOWED_HOSTS:
        found.append(Error("GPULAB_ALLOWED_HOSTS must not be * in production.", id="gpulab.E004"))
    return found
