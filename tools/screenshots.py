"""Pictures of every page, wide and narrow, light and dark, of a furnished house: `python -m tools.screenshots FOLDER`."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.support.pages import PASSWORD, of_administrator, of_newcomer, of_person, outside
from tests.support.served import Served, served_house

SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
SETTLE_MS = 500


def take(browser: Browser, served: Served, folder: Path, person: str, pages: Mapping[str, str]) -> None:
    """Every page of one person in the four variants; an empty person is a stranger."""
    for size, viewport in SIZES.items():
        for colours in ("light", "dark"):
            context = browser.new_context(base_url=served.url, viewport=viewport, color_scheme=colours)
            page = context.new_page()
            if person:
                page.goto("/accounts/login/")
                page.get_by_label("Email").fill(f"{person}@example.edu")
                page.get_by_label("Password", exact=True).fill(PASSWORD)
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_url(served.url + "/")
            for name, path in pages.items():
                page.goto(path)
                page.wait_for_timeout(SETTLE_MS)  # fonts, the first stream message
                page.screenshot(path=folder / f"{name}-{size}-{colours}.png", full_page=True)
            context.close()


def main(folder: Path) -> None:
    """Serve, visit, save."""
    folder.mkdir(parents=True, exist_ok=True)
    with served_house() as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        take(browser, served, folder, "", outside(served))
        take(browser, served, folder, "nora", of_newcomer())
        take(browser, served, folder, "alice", of_person(served))
        take(browser, served, folder, "root", of_administrator(served))
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("screenshots"))
    main(parser.parse_args().folder)
