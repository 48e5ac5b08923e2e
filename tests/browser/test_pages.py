"""Every page in a real browser, wide and narrow, light and dark: nothing breaks, nothing sticks out."""

import pytest

from tests.browser.conftest import NARROW, WIDE, Enter
from tests.support.pages import of_administrator, of_newcomer, of_person, outside
from tests.support.served import Served

pytestmark = pytest.mark.browser

#: In either colours at both sizes; one of the two is the size at which it is loaded, the other the one to which its window is then drawn.
VARIANTS = [(False, "light"), (True, "dark")]
#: What a stranger's pages say to the console about their own status is Chromium's, not a fault.
STATUS = "Failed to load resource: the server responded with a status of"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("narrow", "colours"), VARIANTS, ids=["wide-first-light", "narrow-first-dark"])
@pytest.mark.parametrize("person", ["", "nora", "alice", "root"])
def test_every_page_is_whole(enter: Enter, served: Served, person: str, narrow: bool, colours: str) -> None:
    visit = enter(person, narrow=narrow, colours=colours)
    pages = {"": outside(served), "nora": of_newcomer(), "alice": of_person(served), "root": of_administrator(served)}[person]
    for name, path in pages.items():
        first, then = (NARROW, WIDE) if narrow else (WIDE, NARROW)
        visit.page.set_viewport_size(first)
        visit.page.goto(path)
        assert visit.page.locator("h1").count() == 1, f"{name} has not one heading of the first rank"
        assert visit.page.title() not in ("", "GPU Lab · GPU Lab"), f"{name} has no title of its own"
        root = visit.page.locator("html")
        assert root.get_attribute("data-bs-theme") == colours, name
        for size in (first, then):
            visit.page.set_viewport_size(size)
            excess = root.evaluate("element => element.scrollWidth - element.clientWidth")
            assert excess <= 0, f"{name} sticks out by {excess} px at a width of {size['width']} px"
    assert [fault for fault in visit.faults if not fault.startswith(STATUS)] == []


def test_every_control_has_a_name(enter: Enter, served: Served) -> None:
    visit = enter("root")
    for name, path in (of_administrator(served) | of_person(served)).items():
        if not path.startswith("/labs/"):
            visit.page.goto(path)
            nameless = visit.page.locator("main").evaluate(NAMELESS)
            assert nameless == [], name
            assert visit.page.locator("html").evaluate(TWICE) == [], f"{name}: a label leads to the first of two controls"


TWICE = "page => [...page.querySelectorAll('[id]')].map(one => one.id).filter((id, place, all) => all.indexOf(id) !== place)"
NAMELESS = """main => [...main.querySelectorAll("input:not([type=hidden]), select, textarea, button, a, progress")]
  .filter(one => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim() || one.title))
  .map(one => one.outerHTML)"""
