"""Links that are open: a portal that goes away leaves them alone, whatever is revoked cuts them, and a lab that is ready is reached at once.

Portal, relay and database are processes; what is open is a stream of the lab's that never ends.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.browser.conftest import _need_programs
from tests.security.hand import Hand, hand_of
from tests.security.hostile import Hostile, furnished_home, hostile_house
from tests.support.pages import PASSWORD
from tests.support.waiting import wait_for

SOON_S = 5.0


class Visitor:
    """A person's browser without its pictures: signed in at the portal, and with a pass for a lab."""

    def __init__(self, house: Hostile, name: str) -> None:
        self.house = house
        self.portal, self.labs = httpx.Client(base_url=house.portal, timeout=30), httpx.Client(timeout=30)
        self.portal.get("/accounts/login/")
        answer = self._post("/accounts/login/", login=f"{name}@example.edu", password=PASSWORD)
        assert answer.status_code == 302, answer.text[:500]
        self.headers: dict[str, str] = {}

    def _post(self, path: str, **fields: str) -> httpx.Response:
        fields["csrfmiddlewaretoken"] = self.portal.cookies["gpulab_csrf"]
        return self.portal.post(path, data=fields)

    def enter(self, lab: str = "a") -> "Visitor":
        """Click, and have the ticket turned into a pass."""
        answer = self._post(f"/labs/{self.house.ids[lab]}/open")
        assert answer.status_code == 303, answer.text[:500]
        where = urlsplit(answer.headers["Location"])
        entered = httpx.get(f"http://127.0.0.1:{self.house.labs_port}{where.path}?{where.query}", headers={"Host": where.netloc}, timeout=30)
        assert entered.status_code == 303, entered.text
        self.headers = {"Host": where.netloc, "Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
        return self

    def sign_out(self) -> float:
        """By the form."""
        assert self._post("/accounts/logout/").status_code == 302
        return time.time()

    def status(self, lab: str = "a") -> int:
        """How the lab answers now; 0 when a request under way was cut."""
        with contextlib.suppress(httpx.TransportError):
            return self.labs.get(_url(self.house, lab, "x"), headers=self.headers).status_code
        return 0


def _url(house: Hostile, lab: str, path: str) -> str:
    return f"http://127.0.0.1:{house.labs_port}/l/{house.ids[lab]}/{path}"


@contextmanager
def stream(house: Hostile, headers: dict[str, str], lab: str = "a") -> Iterator[Iterator[str]]:
    """The lines of a stream that never ends, the first of which has come."""
    with httpx.Client(timeout=30) as client, client.stream("GET", _url(house, lab, "drip"), headers=headers) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines) == "data: still here"
        yield lines


def cut_after(lines: Iterator[str], since: float) -> float:
    """Seconds from then to the end of the stream."""
    try:
        for _ in lines:
            assert time.time() - since < 2 * SOON_S, "the stream goes on"
    except (httpx.HTTPError, httpx.StreamError):
        pass
    return time.time() - since


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The house with an origin a lab."""
    _need_programs()
    with furnished_home(tmp_path_factory.mktemp("links")) as made, hostile_house("wildcard", made) as served:
        yield served


@pytest.fixture(scope="module")
def hand(house: Hostile) -> Iterator[Hand]:
    """What changes its records."""
    with hand_of(house.environ) as made:
        yield made


def test_a_lab_that_is_ready_is_reached_long_before_the_relay_would_look_by_itself(house: Hostile, hand: Hand) -> None:
    alice, took = Visitor(house, "alice").enter(), []
    for _ in range(5):
        hand.do("starting", house.ids["a"])
        wait_for(lambda: alice.status() == 503, within=60, what="the page that follows the lab")
        ready = hand.do("ready", house.ids["a"])
        wait_for(lambda: alice.status() == 200, within=60, every=0.005, what="the lab")
        took.append(max(0.0, time.time() - ready))
    print(f"\nroute live {statistics.median(took) * 1000:.0f} ms after ready (median of 5, best {min(took) * 1000:.0f} ms)")
    assert min(took) < 0.5


def test_the_portals_end_cuts_no_open_link_and_closes_no_lab(house: Hostile) -> None:
    alice = Visitor(house, "alice").enter()
    with stream(house, alice.headers) as lines:
        house.web.kill()
        house.web.wait(30)
        with pytest.raises(httpx.HTTPError):
            httpx.get(house.portal, timeout=5)
        until = time.time() + 2.5  # longer than the relay believes what it knows
        while time.time() < until:
            assert next(lines) in ("data: still here", "")
        assert alice.status() == 200
    house.web_again()


REVOCATIONS: dict[str, tuple[str, str, Callable[[Hand, Visitor], Any], Callable[[Hand], Any] | None]] = {
    "session signed out": ("alice", "a", lambda hand, visitor: visitor.sign_out(), None),
    "person disabled": ("bob", "bobs", lambda hand, visitor: hand.do("disabled", "bob"), lambda hand: hand.do("enabled", "bob")),
    "role taken away": ("ruth", "a", lambda hand, visitor: hand.do("role", "ruth", "student"), None),
    "lab stopped": ("alice", "b", lambda hand, visitor: hand.do("stopped", visitor.house.ids["b"]), None),
}


@pytest.mark.parametrize("what", REVOCATIONS)
def test_an_open_jupyter_link_is_cut_within_five_seconds_when(house: Hostile, hand: Hand, what: str) -> None:
    name, lab, revoke, restore = REVOCATIONS[what]
    visitor = Visitor(house, name).enter(lab)
    with stream(house, visitor.headers, lab) as lines:
        took = cut_after(lines, revoke(hand, visitor))
    assert took < SOON_S, what
    assert visitor.status(lab) in (403, 410, 503)
    if restore:
        restore(hand)


def test_another_session_of_the_same_person_goes_on_when_one_signs_out(house: Hostile) -> None:
    laptop, phone = Visitor(house, "alice").enter(), Visitor(house, "alice").enter()
    with stream(house, phone.headers) as lines:
        laptop.sign_out()
        wait_for(lambda: laptop.status() == 403, within=SOON_S, what="the end of the laptop's pass")
        assert next(lines) in ("data: still here", "")
    assert phone.status() == 200


def test_a_link_that_a_lab_token_opened_is_cut_when_the_token_is_revoked(house: Hostile, hand: Hand) -> None:
    token_id, secret = hand.do("token", house.ids["a"])
    headers = {"Host": f"localhost:{house.labs_port}", "Authorization": f"token {secret}"}
    wait_for(lambda: httpx.get(_url(house, "a", "x"), headers=headers, timeout=30).status_code == 200, within=30, what="the token opens the lab")
    with stream(house, headers) as lines:
        assert cut_after(lines, hand.do("token_revoked", house.ids["a"], token_id)) < SOON_S
