"""A class in a real browser, in a house whose loops tick: reserved, held, started, and given back early."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter, verdict_of

pytestmark = pytest.mark.browser

WITHIN_MS = 60000


def reserve(page: Page, cards: int) -> None:
    """Vision 101 begins in two minutes: its cards are kept from now on."""
    begin = timezone.localtime() + timedelta(minutes=2)
    page.goto("/calendar/")
    page.get_by_role("link", name="Reserve for a class").click()
    page.get_by_label("Name").fill("Vision 101")
    for day in page.get_by_role("checkbox").all():
        day.set_checked(day.get_attribute("value") == str(begin.weekday()))
    page.get_by_label("From").fill(f"{begin:%H:%M}")
    page.get_by_label("To", exact=True).fill(f"{begin + timedelta(hours=2):%H:%M}")
    page.get_by_label("First day").fill(f"{begin:%Y-%m-%d}")
    page.get_by_label("Last day").fill(f"{begin:%Y-%m-%d}")
    with verdict_of(page, "calendar/reserve", cards=cards):
        page.get_by_label("GPUs together").fill(str(cards))
        page.get_by_label("GPUs together").blur()


def state(page: Page, words: str) -> None:
    """The lab's page says so, without a reload."""
    expect(page.locator(".head .state").first).to_have_text(words, timeout=WITHIN_MS)


def test_a_class_is_reserved_held_started_and_given_back(come: Enter) -> None:
    teacher = come("tina")
    tina = teacher.page
    reserve(tina, 9)
    expect(tina.locator("#verdict")).to_contain_text("A teacher may set aside 8 at once")
    reserve(tina, 5)
    expect(tina.locator("#verdict")).to_contain_text("5 are asked for and 4 are left")
    reserve(tina, 4)
    expect(tina.locator("#verdict")).to_contain_text("Can be reserved")
    expect(tina.locator("#verdict")).to_contain_text("Labs at once")
    tina.get_by_role("button", name="Reserve").click()
    expect(tina.get_by_text("Open now")).to_be_visible()

    charlie = come("charlie").page
    charlie.goto("/launch/")
    charlie.get_by_label("Name").fill("stranger")
    charlie.get_by_role("button", name=re.compile(r"^Queue \(place")).click()
    expect(charlie.locator("#why")).to_contain_text("held for Vision 101 until")

    bob = come("bob", narrow=True).page
    bob.goto("/")
    bob.get_by_role("link", name=re.compile("Your lab of it")).click()
    state(bob, "Running")
    expect(bob.get_by_role("link", name="Class Vision 101")).to_be_visible()

    tina.reload()
    expect(tina.get_by_role("row", name=re.compile("Bob.*Running"))).to_be_visible()
    tina.get_by_role("button", name="End it now").click()
    expect(tina.get_by_role("dialog")).to_contain_text("its GPUs go to the queue")
    tina.get_by_role("dialog").get_by_role("button", name="End it now").click()
    expect(tina.locator("main .tag", has_text="ended early")).to_be_visible()

    state(bob, "Stopped")
    expect(bob.get_by_text("Its class is over.").first).to_be_visible()
    state(charlie, "Running")
    assert teacher.faults == []
    charlie.get_by_role("button", name="Stop", exact=True).click()
    charlie.get_by_role("button", name="Stop stranger").click()
    state(charlie, "Stopped")
