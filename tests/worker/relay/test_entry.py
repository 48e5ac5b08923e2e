"""Who is let in: tickets, passes, tokens, and nobody else."""

import asyncio
import time
from ipaddress import ip_network

import pytest

from labs.bus.secrets import secret_digest
from labs.lifecycle import states
from labs.lifecycle.passes import mint
from tests.worker.relay.conftest import BASE, lab_application
from tests.worker.relay.world import ALICE, BOB, LAB, OTHER, PASS_COOKIE, ROOT, TOKEN, World, world

pytestmark = pytest.mark.asyncio
ENTER = "/_gpulab/enter?ticket="


async def _enter(house: World, ticket: str, host: str = "") -> tuple[int, str, str]:
    async with house.ask(ENTER + ticket, headers={"Host": host or house.host}) as answer:
        return answer.status, answer.headers.get("Location", ""), answer.headers.get("Set-Cookie", "")


async def test_a_ticket_becomes_a_cookie_of_that_host_alone_and_leads_to_the_lab(house: World) -> None:
    status, location, cookie = await _enter(house, house.mint("ticket"))
    assert (status, location) == (303, f"/l/{LAB}/lab")
    assert cookie.startswith(f"{PASS_COOKIE}=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Domain" not in cookie
    async with house.ask(f"{BASE}/hello", headers={"Host": house.host, "Cookie": cookie.partition(";")[0]}) as answer:
        assert answer.status == 200


async def test_with_tls_the_cookie_is_one_that_no_other_host_can_set() -> None:
    async with world(lab_application(), scheme="https") as house:
        _, _, cookie = await _enter(house, house.mint("ticket"))
    assert cookie.startswith("__Host-gpulab_pass=") and "Secure" in cookie and "Path=/" in cookie


async def test_a_ticket_opens_once(house: World) -> None:
    ticket = house.mint("ticket")
    assert (await _enter(house, ticket))[0] == 303
    status, _, cookie = await _enter(house, ticket)
    assert (status, cookie) == (403, "")


async def test_tickets_that_are_old_forged_of_another_lab_or_of_another_kind_open_nothing(house: World) -> None:
    forged = mint(key=b"x" * 32, kind="ticket", user_id=ALICE, lab_id=LAB, role="owner", now=time.time())
    for ticket in (
        house.mint("ticket", ago=61),
        house.mint("ticket", ago=55),  # from before the relay's start, whose uses nobody remembers
        house.mint("ticket", ago=-30),
        house.mint("ticket", lab_id=OTHER, user_id=BOB),
        house.mint("browser"),
        house.mint("ssh"),
        forged,
        "",
        "nonsense",
    ):
        assert await _enter(house, ticket) == (403, "", "")
    assert (await _enter(house, house.mint("ticket"), host=f"localhost:{house.relay_port}"))[0] == 403


@pytest.mark.parametrize(("user_id", "role"), [(BOB, "owner"), (BOB, "admin"), (77, "owner"), (ROOT, "owner")])
async def test_a_signed_pass_of_somebody_who_may_not_enter_opens_nothing(house: World, user_id: int, role: str) -> None:
    assert (await _enter(house, house.mint("ticket", user_id=user_id, role=role)))[0] == 403  # type: ignore[arg-type]
    async with house.ask(f"{BASE}/hello", headers=house.visitor(user_id, role)) as answer:  # type: ignore[arg-type]
        assert answer.status == 403


async def test_an_administrator_enters_as_one(house: World) -> None:
    async with house.ask(f"{BASE}/hello", headers=house.visitor(ROOT, "admin")) as answer:
        assert answer.status == 200


async def test_a_pass_opens_no_other_lab_and_no_other_host(house: World) -> None:
    pass_of_alice = {"Cookie": f"{PASS_COOKIE}={house.mint()}"}
    for host, path in (
        (f"lab-{OTHER}.localhost", f"/l/{OTHER}/lab"),
        (f"lab-{OTHER}.localhost", f"/l/{LAB}/lab"),
        (f"localhost:{house.relay_port}", f"/l/{LAB}/lab"),
        (f"lab-{LAB}.evil.example", f"/l/{LAB}/lab"),
        (house.host, f"/l/{OTHER}/lab"),
    ):
        async with house.ask(path, headers={"Host": host, **pass_of_alice}) as answer:
            assert answer.status in (403, 404), (host, path)


async def test_without_a_pass_a_person_is_led_to_the_portal_and_learns_nothing_of_the_lab(house: World) -> None:
    pages = []
    for lab_id in (LAB, OTHER, "zzzzzzzzzzzz"):
        async with house.ask(f"/l/{lab_id}/lab", headers={"Host": f"lab-{lab_id}.localhost", "Accept": "text/html"}) as answer:
            assert answer.status == 403
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            pages.append((await answer.text()).replace(lab_id, "ID"))
    assert len(set(pages)) == 1 and "http://localhost:8000/labs/ID/" in pages[0]


async def test_a_client_with_the_labs_token_needs_no_wildcard_name(house: World) -> None:
    base = f"localhost:{house.relay_port}"
    for scheme in ("token", "Bearer"):
        async with house.ask(f"{BASE}/api?x=1&token=abc", headers={"Host": base, "Authorization": f"{scheme} {TOKEN}", "Cookie": "sessionid=portal"}) as answer:
            seen = await answer.json()
            assert answer.status == 200 and "sandbox" in answer.headers["Content-Security-Policy"]
        headers = dict(seen["headers"])
        assert headers["Authorization"] == f"token upstream-{LAB}-1" and "Cookie" not in headers
        assert seen["path"] == f"{BASE}/api?x=1"
    async with house.ask(f"{BASE}/cookies", headers={"Host": base, "Authorization": f"token {TOKEN}"}) as answer:
        assert "Set-Cookie" not in answer.headers  # the portal's own host name: nothing may be set there


async def test_the_use_of_a_lab_token_is_told(house: World) -> None:
    async with house.ask(f"{BASE}/api", headers={"Host": f"localhost:{house.relay_port}", "Authorization": f"token {TOKEN}"}) as answer:
        assert answer.status == 200
    async with asyncio.timeout(60):
        while house.used != {secret_digest(TOKEN)}:
            await asyncio.sleep(0.01)


async def test_tokens_that_are_wrong_or_of_another_lab_open_nothing(house: World) -> None:
    house.say(tokens={secret_digest(TOKEN): (OTHER, 5)})
    await house.table.refresh()
    for secret in (TOKEN, "gpl_guess", "", f"upstream-{LAB}-1"):
        async with house.ask(f"{BASE}/api", headers={"Host": "localhost", "Authorization": f"token {secret}"}) as answer:
            assert answer.status == 403


async def test_on_one_host_name_for_all_labs_each_lab_has_its_own_pass() -> None:
    async with world(lab_application(), single=True) as house:
        host = f"localhost:{house.relay_port}"
        status, _, cookie = await _enter(house, house.mint("ticket"), host=host)
        assert status == 303 and cookie.startswith(f"{PASS_COOKIE}_{LAB}=")
        mine = cookie.partition(";")[0]
        async with house.ask(f"{BASE}/hello", headers={"Host": host, "Cookie": mine}) as answer:
            assert answer.status == 200
        async with house.ask(f"/l/{OTHER}/hello", headers={"Host": host, "Cookie": mine.replace(LAB, OTHER, 1)}) as answer:
            assert answer.status == 403


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({"Origin": "http://lab-mnopqrstuvwx.localhost"}, "POST", 403),
        ({"Origin": "null"}, "DELETE", 403),
        ({"Sec-Fetch-Site": "same-site"}, "POST", 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, "GET", 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, "GET", 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, "GET", 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, "GET", 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, "POST", 200),
        ({"Origin": "OWN"}, "POST", 200),
        ({}, "POST", 200),
    ],
)
async def test_only_the_labs_own_page_acts_with_the_labs_cookie(house: World, headers: dict[str, str], method: str, status: int) -> None:
    sent = {name: house.origin if value == "OWN" else value for name, value in headers.items()}
    async with house.ask(f"{BASE}/api/contents", method=method, headers=house.visitor(**sent)) as answer:
        assert answer.status == status


@pytest.mark.parametrize(("state", "words"), [(states.QUEUED, "waiting for its turn"), (states.STARTING, "is starting"), (states.STOPPING, "is stopping")])
async def test_a_lab_that_does_not_answer_yet_has_a_page_that_follows_it(house: World, state: str, words: str) -> None:
    house.route(state=state, jupyter=None)
    await house.table.refresh()
    async with house.ask(f"{BASE}/lab", headers=house.visitor(Accept="text/html")) as answer:
        text = await answer.text()
    assert answer.status == 503 and words in text and 'http-equiv="refresh"' in text and "Set-Cookie" not in answer.headers
    async with house.ask(f"{BASE}/api/contents") as answer:
        assert answer.status == 503 and words in (await answer.json())["message"]


async def test_a_lab_that_has_ended_or_does_not_answer_says_so(house: World) -> None:
    house.route(jupyter=("127.0.0.1", 9))
    await house.table.refresh()
    async with house.ask(f"{BASE}/lab", headers=house.visitor(Accept="text/html")) as answer:
        assert answer.status == 502 and "does not answer" in await answer.text()
    house.say(routes={})
    await house.table.refresh()
    async with house.ask(f"{BASE}/lab", headers=house.visitor(Accept="text/html")) as answer:
        assert answer.status == 410 and "has ended" in await answer.text()


async def test_labs_are_open_to_the_networks_that_the_house_names_and_to_no_others() -> None:
    async with world(lab_application(), proxies=1, open_to=(ip_network("10.1.0.0/16"),)) as house:
        for forwarded, status in (("10.1.2.3", 200), ("203.0.113.9", 403), ("10.1.2.3, 203.0.113.9", 403)):
            async with house.ask(f"{BASE}/x", headers=house.visitor(**{"X-Forwarded-For": forwarded, "Accept": "text/html"})) as answer:
                assert answer.status == status, forwarded
                if status == 200:
                    assert dict((await answer.json())["headers"])["X-Forwarded-For"] == "10.1.2.3"
                else:
                    assert "not open to this network" in await answer.text()
        async with house.ask("/_gpulab/healthz", headers={"Host": "127.0.0.1"}) as answer:
            assert answer.status == 200
