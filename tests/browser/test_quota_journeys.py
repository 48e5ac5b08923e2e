"""Asking for more in a real browser, in a house whose scheduler ticks."""

import re

import pytest
from playwright.sync_api import Page, expect

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


def test_an_administrator_sees_whom_a_change_hits_before_it_is_saved(come: Enter) -> None:
    lab = come("alice").page
    fill(lab, "sweep", 2)
    lab.get_by_role("button", name="Launch now").click()
    state(lab, "Running")

    visit = come("root")
    page = visit.page
    page.goto("/manage/quotas/")
    _row(page, gpus=1, most=1)
    expect(page.locator("#role-preview")).to_contain_text("1 person would be over")
    expect(page.locator("#role-preview")).to_contain_text("Alice holds 2 of 1 GPUs (1 over)")
    _save(page)
    expect(page.get_by_role("heading", name="Not saved yet")).to_be_visible()
    page.get_by_role("link", name="Leave it as it was").click()
    expect(page.get_by_label("Researcher: GPUs at most")).to_have_value("4")

    _row(page, gpus=1, most=1)
    _save(page)
    page.get_by_role("button", name="Save it all the same").click()
    expect(page.get_by_text("1 person is over.")).to_be_visible()
    fill(lab, "more", 1)
    expect(lab.locator("#verdict")).to_contain_text("You hold 2 of your 1 GPU, so 0 are left and this needs 1.")

    _row(page, gpus=2, most=4)
    expect(page.locator("#role-preview")).to_contain_text("nobody would be over")
    _save(page)
    expect(page.get_by_text("Nobody is over.")).to_be_visible()
    page.goto("/manage/audit/?kind=quota.role")
    expect(page.get_by_text("Limits of researcher: gpus 2 → 1, gpus_max 4 → 1.")).to_be_visible()
    assert visit.faults == []
    lab.goto("/")
    lab.get_by_role("link", name="sweep", exact=True).click()
    end(lab, "sweep")


def _row(page: Page, *, gpus: int, most: int) -> None:
    """Fill in the researchers' row, and let the page say what that would do."""
    for label, value in (("GPUs guaranteed", gpus), ("GPUs at most", most)):
        with page.expect_response(re.compile("/manage/quotas/preview/")):
            page.get_by_label(f"Researcher: {label}").fill(str(value))
            page.get_by_label(f"Researcher: {label}").blur()


def _save(page: Page) -> None:
    page.get_by_role("row", name=re.compile("^Researcher")).get_by_role("button", name="Save").click()
