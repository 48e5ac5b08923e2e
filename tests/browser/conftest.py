"""A furnished house that is served once for all browser tests, and browsers in it that note whatever goes wrong."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect, sync_playwright

from tests.support.pages import PASSWORD
from tests.support.served import Served, house_at_work, served_house

expect.set_options(timeout=30_000)  # five seconds are few where others are at work
CHROMIUM = "/usr/bin/chromium"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Visit:
    """A page, and what its console said that it should not have."""

    page: Page
    faults: list[str] = field(default_factory=list)


Enter = Callable[..., Visit]


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The house in which nothing moves."""
    _need_programs()
    with served_house() as house:
        yield house


@pytest.fixture(scope="session")
def at_work() -> Iterator[Served]:
    """A house whose loops tick over a runtime in memory: people `tests.support.at_work.PEOPLE`, four cards, no lab yet."""
    _need_programs()
    with house_at_work() as house:
        yield house


def _need_programs() -> None:
    """What a house is made of is installed in CI; elsewhere its tests are left out where it is not."""
    for program in ("redis-server", CHROMIUM):
        if not shutil.which(program):
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {program}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def enter(served: Served, chromium: Browser) -> Iterator[Enter]:
    """Enter the house: `enter("alice", narrow=True, colours="dark")`; without a name as a stranger."""
    yield from _door(served, chromium)


@pytest.fixture
def come(at_work: Served, chromium: Browser) -> Iterator[Enter]:
    """Enter the house at work, in the same way."""
    yield from _door(at_work, chromium)


def _door(served: Served, chromium: Browser) -> Iterator[Enter]:
    contexts: list[BrowserContext] = []

    def go(person: str = "", *, narrow: bool = False, colours: str = "light", javascript: bool = True) -> Visit:
        context = chromium.new_context(
            base_url=served.url,
            viewport=NARROW if narrow else WIDE,
            color_scheme=colours,
            java_script_enabled=javascript,  # type: ignore[arg-type]
        )
        contexts.append(context)
        visit = Visit(context.new_page())
        visit.page.on("console", lambda line: visit.faults.append(f"{line.text} at {visit.page.url}") if _complains(line) else None)
        visit.page.on("pageerror", lambda error: visit.faults.append(f"{error} at {visit.page.url}"))
        if person:
            sign_in(visit.page, person)
        return visit

    yield go
    for context in contexts:
        context.close()


def _complains(line: ConsoleMessage) -> bool:
    """Something of ours went wrong: not that another test's containers brought a network to this machine or took it away."""
    return line.type in ("error", "warning") and "net::ERR_NETWORK_CHANGED" not in line.text


@contextmanager
def verdict_of(page: Page, door: str, **asked: int) -> Iterator[None]:
    """What is done in it makes a form ask for its verdict: the answer to just these values has come, and nothing is on its way any more."""

    def is_it(answer: Response) -> bool:
        where = urlsplit(answer.url)
        told = parse_qs(where.query)
        return where.path == f"/{door}/verdict/" and all(told.get(name) == [str(value)] for name, value in asked.items())

    with page.expect_response(is_it):
        yield
    expect(page.locator(".htmx-request")).to_have_count(0)


def sign_in(page: Page, person: str) -> None:
    """By the form, as a person does."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(f"{person}@example.edu")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Hello").wait_for()
