"""Asking for more in a real browser, in a house whose scheduler ticks."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.test_queue_journeys import end, fill, state

pytestmark = pytest.mark.browser


def test_a_refused_wish_is_asked_for_granted_and_launched(come: Enter) -> None:
    page = come("bob").page
    fill(page, "homework", 2)
    expect(page.locator("#verdict")).to_contain_text("your limit is 1")
    page.get_by_role("link", name="Ask for more").click()
    expect(page.get_by_label(re.compile("^GPUs"))).to_have_value("2")
    page.get_by_label("What is it for?").fill("The last exercise needs two GPUs.")
    page.get_by_role("button", name="Send the request").click()
    expect(page.locator("#asked")).to_contain_text("The last exercise needs two GPUs.")

    teacher = come("tina").page
    teacher.goto("/quota/requests/")
    teacher.get_by_role("link", name="Answer Bob").click()
    teacher.get_by_role("button", name="Grant it").click()
    expect(teacher.get_by_text("The request of Bob was granted")).to_be_visible()

    page.reload()
    expect(page.locator("#asked")).to_contain_text("Granted")
    fill(page, "homework", 2)
    page.get_by_role("button", name="Launch now").click()
    state(page, "Running")
    end(page, "homework")
