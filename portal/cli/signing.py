"""Signing in and out."""

import contextlib
import platform
import sys
import time
import webbrowser
from typing import Any

from . import show
from .client import Api
from .config import Account, account_forget, account_load, account_save, url_checked, url_known
from .faults import REFUSED, SIGN_IN, USAGE, Fault

SCOPES = ("read", "launch", "admin")


def login(url: str, *, scope: str, browser: bool) -> None:
    """Show a code, wait until it is approved on the portal's page, keep the token."""
    named = url or url_known()
    if not named:
        raise Fault("Which portal? Run: gpulab login https://the-address-of-your-portal", code=USAGE)
    if scope not in SCOPES:
        raise Fault(f"--scope is one of {', '.join(SCOPES)}.", code=USAGE)
    client = Api(url_checked(named))
    asked = client.post("/device", {"client": f"gpulab on {platform.node()}"[:100], "scope": scope})
    # On stderr even with --json: without it nobody could approve anything.
    sys.stderr.write(f"Open {asked['verification_uri']}\nand approve the code   {asked['user_code']}\n")
    sys.stderr.flush()
    if browser and sys.stderr.isatty():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(asked["verification_uri_complete"])
    found = _approved(client, asked)
    file = account_save(Account(client.url, found["token"], found["email"]))
    who = {"url": client.url, "email": found["email"], "scope": found["scope"], "expires_at": found["expires_at"]}
    show.result(who, f"Signed in as {found['email']} until {show.moment(found['expires_at'])}. Kept in {file}.")


def logout() -> None:
    """Revoke the token at the portal, then forget it; a portal that is away does not keep anybody signed in here."""
    account, told = account_load(), True
    try:
        Api(account.url, account.token).send("DELETE", "/me/tokens/this")
    except Fault as fault:
        told = fault.code == SIGN_IN
    account_forget()
    words = "Signed out." if told else f"Signed out here. {account.url} could not be told: revoke the token on its page of API tokens."
    show.result({"signed_out": True, "revoked": told}, words)


def _approved(client: Api, asked: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + asked["expires_in"]
    while time.monotonic() < until:
        time.sleep(asked["interval"])
        try:
            found: dict[str, Any] = client.post("/device/token", {"device_code": asked["device_code"]})
        except Fault as fault:
            if fault.more.get("code") in ("pending", "too_many_requests"):
                continue
            raise
        return found
    raise Fault("Nobody approved it in time. Run gpulab login again.", code=REFUSED)
