"""What a program must know of the house: where SSH is, which keys it shows, which roles there are."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from labs.people.hostkeys import host_keys

router = Router(tags=["fleet"])


class House(Schema):
    """Addresses of the house."""

    url: str
    ssh_host: str
    ssh_port: int
    ssh_host_keys: list[str] = Field(description="Public host keys of the SSH door, each as it stands in known_hosts after the address.")
    zone: str = Field(description="The house's time zone.")
    roles: list[str]


@router.get("/house", response=House, summary="Look at the house")
def house_look(request: HttpRequest) -> Any:
    """Where its doors are."""
    return {
        "url": settings.PORTAL_URL,
        "ssh_host": settings.SSH_PUBLIC_HOST,
        "ssh_port": settings.SSH_PUBLIC_PORT,
        "ssh_host_keys": [key.public_key for key in host_keys(now=timezone.now())],
        "zone": settings.TIME_ZONE,
        "roles": list(settings.DEFAULTS["roles"]),
    }
