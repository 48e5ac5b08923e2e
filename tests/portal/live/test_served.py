"""The stream as it is served: by uvicorn, to many at once, to a real browser, and through a restart of the web process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.live import house, running, until_listens
from benchmarks.live_client import Crowd
from tests.support.ports import port_free

expect.set_options(timeout=30_000)  # five seconds are few where others are at work
ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = "/usr/bin/chromium"


@dataclass
class Web:
    """A web process that can be killed and started again at the same address."""

    environ: dict[str, str]
    cookies: list[str]
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ | {"GPULAB_PORTAL_URL": self.url})
        until_listens(self.port)

    def kill(self) -> None:
        """As the kernel would: no word to anybody."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def furnished() -> Iterator[tuple[dict[str, str], list[str]]]:
    """A Redis, and a database with twenty people who have signed in."""
    if not any(map(shutil.which, ("valkey-server", "redis-server"))) and not os.environ.get("CI"):
        pytest.skip("needs a Redis server")
    with house(20) as made:
        yield made


@pytest.fixture
def web(furnished: tuple[dict[str, str], list[str]]) -> Iterator[Web]:
    """The portal over them, and a node that samples every second."""
    environ, cookies = furnished
    made = Web(environ, cookies, port_free())
    made.start()
    feed = [sys.executable, "-m", "benchmarks.live_feed", "feed", "2", "600"]
    with running(feed, environ):
        yield made
    made.kill()


async def _all_current(web: Web, count: int) -> float:
    """Connect and wait until each socket has a sample; the seconds that it took."""
    began = time.monotonic()
    crowd = Crowd(web.port, web.cookies, origin=web.url)
    await crowd.connect(count)
    async with asyncio.timeout(60):
        while not all(one.samples for one in crowd.sockets):
            await asyncio.sleep(0.05)
    crowd.close()
    return time.monotonic() - began


def test_500_sockets_are_current_within_10_seconds_of_a_killed_web_process(web: Web) -> None:
    asyncio.run(_all_current(web, 50))
    web.kill()
    web.start()
    assert asyncio.run(_all_current(web, 500)) < 10


@pytest.fixture
def page(web: Web) -> Iterator[Page]:
    """A browser in which somebody has signed in."""
    if not Path(CHROMIUM).exists() and not os.environ.get("CI"):
        pytest.skip("needs Chromium")
    name, _, value = web.cookies[0].partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        context = browser.new_context(base_url=web.url)
        context.add_cookies([{"name": name, "value": value, "url": web.url}])
        yield context.new_page()
        browser.close()


def _changes(page: Page) -> None:
    """The first card's number becomes another one without a reload."""
    number = page.locator("[data-value=gpu_pct]").first
    before = number.text_content() or ""
    expect(number).not_to_have_text(before, timeout=60_000)


@pytest.mark.browser
def test_a_page_goes_on_after_the_web_process_was_killed_and_says_so_meanwhile(web: Web, page: Page) -> None:
    faults: list[str] = []
    addresses: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    page.goto("/gpus/")
    page.evaluate("window.loadedOnce = true")
    indicator = page.locator("[data-live-indicator]").first
    expect(indicator).to_have_text("Live", timeout=60_000)
    expect(page.locator("article[data-gpu] canvas")).to_have_count(2)
    _changes(page)
    web.kill()
    expect(indicator).to_have_text("Reconnecting…", timeout=60_000)
    web.start()
    expect(indicator).to_have_text("Live", timeout=60_000)
    _changes(page)
    assert page.evaluate("window.loadedOnce") is True
    assert "seen=bench%3A" in addresses[-1]
    assert faults == []


@pytest.mark.browser
def test_a_page_of_a_session_that_ended_stops_asking(web: Web, page: Page) -> None:
    page.goto("/gpus/")
    indicator = page.locator("[data-live-indicator]").first
    expect(indicator).to_have_text("Live", timeout=60_000)
    page.context.clear_cookies()
    web.kill()
    web.start()
    expect(indicator).to_contain_text("Signed out", timeout=60_000)
