"""Waiting in a real browser, in a house whose scheduler ticks: reading why, pressing a lever, being asked first."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter, verdict_of

pytestmark = pytest.mark.browser

WITHIN_MS = 60000


def fill(page: Page, name: str, gpus: int) -> None:
    """The launch form; the verdict beside it has answered to these numbers."""
    page.goto("/launch/")
    page.get_by_label("Name").fill(name)
    with verdict_of(page, "launch", gpus=gpus):
        page.get_by_label("Number of GPUs").fill(str(gpus))
        page.get_by_label("Number of GPUs").blur()


def state(page: Page, words: str) -> None:
    """The lab's page says so, without a reload."""
    expect(page.locator(".head .state").first).to_have_text(words, timeout=WITHIN_MS)


def end(page: Page, name: str) -> None:
    """Stop the lab whose page is open."""
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name=f"Stop {name}").click()
    state(page, "Stopped")


@pytest.fixture
def crowd(come: Enter) -> Iterator[Callable[[], None]]:
    """charlie's lab holds all four cards; call it to end that lab. It has ended after the test in any case."""
    page = come("charlie").page
    fill(page, "crowd", 4)
    expect(page.locator("#verdict")).to_contain_text("2 of 4 GPUs would be over your guarantee")
    page.get_by_role("button", name="Launch now").click()
    state(page, "Running")

    yield lambda: end(page, "crowd")
    if page.get_by_role("button", name="Stop", exact=True).count():
        end(page, "crowd")


def test_a_person_who_waits_reads_why_and_pulls_a_lever(come: Enter, crowd: Callable[[], None]) -> None:
    visit = come("alice")
    page = visit.page
    fill(page, "thesis", 1)
    page.get_by_role("button", name=re.compile(r"Queue \(place 1")).click()
    expect(page.get_by_role("heading", name="Place 1 in the queue")).to_be_visible()
    expect(page.locator("#why")).to_contain_text("free now")
    expect(page.locator("#why")).to_contain_text("about")
    page.goto("/")
    expect(page.get_by_text("0 of 4 GPUs free now")).to_be_visible()
    page.get_by_role("link", name="Why?").click()
    page.get_by_role("button", name=re.compile("^Do it: .*no GPU|^Do it: .*0 GPUs|^Do it: .*without", re.IGNORECASE)).click()
    state(page, "Running")
    assert visit.faults == []
    end(page, "thesis")


def test_a_person_who_asked_to_be_told_claims_what_is_held(come: Enter, crowd: Callable[[], None]) -> None:
    page = come("alice", narrow=True).page
    fill(page, "later", 1)
    page.get_by_role("button", name="Queue, and tell me first").click()
    expect(page.locator("#why")).to_contain_text("held for you for 10 minutes")
    crowd()
    expect(page.get_by_role("heading", name="Its turn has come")).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("#offer time[data-left]")).to_have_text("9 min left")
    page.get_by_role("button", name="Claim it and start").click()
    state(page, "Running")
    end(page, "later")
