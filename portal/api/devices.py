"""Signing a program in from a browser, as `gpulab login` does (the device flow of RFC 8628). It takes no token: it is how one is got."""

from datetime import datetime
from typing import Any, Literal

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.people.devices import POLL_S, device_begin, device_redeem
from portal.api.rates import rate_spend
from portal.api.schemas import Strict

router = Router(tags=["sign-in"], auth=None)


class DeviceWish(Strict):
    """A program that wants to be signed in."""

    client: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$", description="What its person reads, such as `gpulab on laptop`.")
    scope: Literal["read", "launch", "admin"] = Field("launch", description="What the token may do.")


class Device(Schema):
    """What the program shows, and with what it asks for its token."""

    device_code: str = Field(description="A secret of the program's.")
    user_code: str = Field(description="What its person compares and approves.")
    verification_uri: str
    verification_uri_complete: str = Field(description="The same with the code filled in; it is still approved by hand.")
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Seconds between two questions.")


class DeviceCode(Strict):
    """The program's secret."""

    device_code: str = Field(min_length=1, max_length=100, pattern=r"^[!-~]*$")


class DeviceToken(Schema):
    """The token, shown this once."""

    token: str
    scope: Literal["read", "launch", "admin"]
    expires_at: datetime
    email: str


@router.post("/device", response={201: Device}, summary="Begin to sign a program in")
def device_create(request: HttpRequest, wish: DeviceWish) -> Status[Any]:
    """Show the code and the address to the person, then ask for the token every `interval` seconds."""
    _spend(request)
    row, secret = device_begin(client=wish.client, scope=wish.scope, now=timezone.now())
    address = settings.PORTAL_URL + reverse("device")
    return Status(
        201,
        {
            "device_code": secret,
            "user_code": row.shown,
            "verification_uri": address,
            "verification_uri_complete": f"{address}?code={row.shown}",
            "expires_in": int((row.expires_at - row.created_at).total_seconds()),
            "interval": POLL_S,
        },
    )


@router.post("/device/token", response=DeviceToken, summary="Fetch the token of a program that was approved")
def device_token(request: HttpRequest, asked: DeviceCode) -> Any:
    """409 with the code `pending` until the person has answered; 422 with `denied` or `expired` when it is over."""
    _spend(request)
    token, secret = device_redeem(secret=asked.device_code, now=timezone.now())
    return {"token": secret, "scope": token.scope, "expires_at": token.expires_at, "email": token.user.email}


def _spend(request: HttpRequest) -> None:
    rate_spend(request=request, key=f"address:{get_adapter(request).get_client_ip(request)}")
