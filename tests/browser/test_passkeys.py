"""A passkey from its making to its end, in Chromium with an authenticator of its own."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter
from tests.support.pages import PASSWORD

pytestmark = pytest.mark.browser
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip


def with_authenticator(page: Page) -> None:
    """Give the page's browser a fingerprint reader that always says yes."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


def test_a_passkey_signs_in_alone_and_is_removed(enter: Enter) -> None:
    visit = enter("nora")
    page = visit.page
    with_authenticator(page)
    page.goto("/accounts/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()

    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Nora")

    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("signing in alone")).to_be_visible()
    page.get_by_role("link", name="Remove").click()
    if page.get_by_label("Password").count():
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No passkey yet")).to_be_visible()
    assert visit.faults == []


def test_a_browser_without_the_passkey_is_told_so_in_words(enter: Enter) -> None:
    page = enter().page
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-passkey-error]")).to_contain_text("Try again, or use another way", timeout=30_000)
