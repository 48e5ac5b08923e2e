"""Checks that stop an unsafe installation before it serves anything."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, register


@register
def labs_have_their_own_origin(**_: Any) -> list[Error]:
    """A lab's page runs its author's JavaScript; on the portal's host, at whatever port, it could read the portal's cookies."""
    portal = (urlsplit(settings.PORTAL_URL).hostname or "").rstrip(".").lower()
    labs = settings.LABS_DOMAIN.rstrip(".").lower()
    found = []
    # Embedded, a browser on this machine gives each lab a host of its own below localhost.
    embedded = not settings.PRODUCTION and labs == "localhost" and settings.LABS_ORIGIN == "wildcard"
    if not embedded and (portal == labs or portal.endswith("." + labs)):
        hint = "Give labs a name of their own; another port of the same host is none, because cookies do not know ports."
        found.append(Error(f"GPULAB_LABS_DOMAIN {labs!r} is the portal's host {portal!r} or above it.", hint=hint, id="gpulab.E001"))
    if settings.LABS_ORIGIN == "wildcard" and _is_address(labs):
        hint = "An address has no names below it: set GPULAB_LABS_ORIGIN=single, or give labs a name."
        found.append(Error(f"GPULAB_LABS_DOMAIN {labs!r} is an address, and labs are to have names below it.", hint=hint, id="gpulab.E005"))
    return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


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


@register
def campus_is_safe(**_: Any) -> list[Error]:
    """People's passwords and what the campus says of them travel by TLS in production."""
    if not settings.PRODUCTION:
        return []
    found = []
    if settings.LDAP_URL.startswith("ldap://") and not settings.LDAP_STARTTLS:
        found.append(Error("GPULAB_LDAP_URL must be ldaps:// or use STARTTLS: people's passwords go over it.", id="gpulab.E010"))
    if settings.OIDC_ISSUER and not settings.OIDC_ISSUER.startswith("https://"):
        found.append(Error("GPULAB_OIDC_ISSUER must begin with https:// in production.", id="gpulab.E011"))
    return found
