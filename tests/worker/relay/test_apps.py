"""Programs at ports of a lab: each on an origin of its own, for its owner and for those it is shared with."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import unused_port

from tests.worker.relay.conftest import lab_application
from tests.worker.relay.world import ALICE, BOB, LAB, PASS_COOKIE, ROOT, World, eventually, world
from worker.relay import listeners

pytestmark = pytest.mark.asyncio
APP, OTHER_APP = 18080, 18081


@pytest_asyncio.fixture
async def apps(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The house, with the lab's own programs at an address of the loopback that nothing else has, as a container's is on its network."""
    monkeypatch.setattr(listeners, "belongs", lambda port, name: True)
    application = lab_application()
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.9", APP).start()
    async with world(lab_application()) as house:
        house.route(inside="127.0.0.9")
        house.say(guests={(LAB, APP): frozenset((BOB,))})
        await house.table.refresh()
        yield house
    await runner.cleanup()


def _host(house: World, port: int = APP) -> str:
    return f"p{port}-lab-{LAB}.localhost:{house.relay_port}"


def _visit(house: World, user_id: int, role: str, *, port: int = APP, host_port: int = APP, **headers: str) -> dict[str, str]:
    cookie = house.mint(user_id=user_id, role=role, port=port)  # type: ignore[arg-type]
    return {"Host": _host(house, host_port), "Cookie": f"{PASS_COOKIE}={cookie}", **headers}


async def test_an_app_gets_its_own_paths_and_neither_the_labs_token_nor_the_houses_cookies(apps: World) -> None:
    headers = _visit(apps, ALICE, "owner", Authorization="Basic bWU6bWU=")
    async with apps.ask("/l/whatever?x=1", headers=headers | {"Cookie": headers["Cookie"] + "; theirs=1"}) as answer:
        seen = await answer.json()
    told = dict(seen["headers"])
    assert seen["path"] == "/l/whatever?x=1"
    assert (told["Authorization"], told["Cookie"], told["Host"]) == ("Basic bWU6bWU=", "theirs=1", _host(apps))


@pytest.mark.parametrize(
    ("user_id", "role", "status"), [(ALICE, "owner", 200), (BOB, "guest", 200), (ROOT, "admin", 200), (BOB, "owner", 403), (77, "guest", 403)]
)
async def test_owner_guests_and_administrators_enter_an_app_and_nobody_else(apps: World, user_id: int, role: str, status: int) -> None:
    async with apps.ask("/", headers=_visit(apps, user_id, role)) as answer:
        assert answer.status == status


async def test_a_pass_for_one_app_opens_no_other_app_and_not_the_lab(apps: World) -> None:
    for headers in (
        _visit(apps, BOB, "guest", port=OTHER_APP, host_port=OTHER_APP),  # not shared with him
        _visit(apps, ALICE, "owner", port=APP, host_port=OTHER_APP),
        _visit(apps, ALICE, "owner", port=0),  # the lab's own pass
        _visit(apps, BOB, "guest") | {"Host": apps.host},
        {"Host": apps.host, "Cookie": f"{PASS_COOKIE}={apps.mint(user_id=BOB, role='guest')}"},  # a guest of the whole lab is nobody
    ):
        async with apps.ask(f"/l/{LAB}/x", headers=headers) as answer:
            assert answer.status == 403, headers


async def test_a_ticket_for_an_app_is_turned_into_a_pass_on_that_apps_origin_only(apps: World) -> None:
    ticket = apps.mint("ticket", user_id=BOB, role="guest", port=APP, path="board?x=1")
    async with apps.ask(f"/_gpulab/enter?ticket={ticket}", headers={"Host": apps.host}) as answer:
        assert answer.status == 403
    ticket = apps.mint("ticket", user_id=BOB, role="guest", port=APP, path="board?x=1")
    async with apps.ask(f"/_gpulab/enter?ticket={ticket}", headers={"Host": _host(apps)}) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/board?x=1")
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    async with apps.ask("/board", headers={"Host": _host(apps), "Cookie": cookie}) as answer:
        assert answer.status == 200


async def test_a_withdrawn_share_cuts_the_guest_and_leaves_the_owner(apps: World) -> None:
    async with (
        apps.ask(f"/l/{LAB}/drip", headers=_visit(apps, BOB, "guest")) as guest,
        apps.ask(f"/l/{LAB}/drip", headers=_visit(apps, ALICE, "owner")) as owner,
    ):
        await guest.content.readline()
        await owner.content.readline()
        apps.say(guests={})
        await apps.table.refresh()
        await eventually(lambda: len(apps.links) == 1, what="the end of the guest's link")
        assert await owner.content.readline(), "the owner's goes on"


async def test_a_port_where_nothing_listens_says_what_to_do(apps: World) -> None:
    async with apps.ask("/", headers=_visit(apps, ALICE, "owner", port=OTHER_APP, host_port=OTHER_APP, Accept="text/html")) as answer:
        assert answer.status == 502 and "0.0.0.0" in await answer.text()


async def test_a_port_of_the_machine_itself_is_no_app_of_a_lab_that_shares_its_network(house: World) -> None:
    """The relay's own port answers on the loopback, but no process of the lab listens there."""
    house.route(inside="127.0.0.1")
    await house.table.refresh()
    port = house.relay_port
    async with house.ask("/_gpulab", headers=_visit(house, ALICE, "owner", port=port, host_port=port)) as answer:
        assert answer.status == 502
    assert not listeners.belongs(unused_port(), f"gpulab-{LAB}-1")


async def test_where_all_labs_share_one_host_no_port_is_an_app() -> None:
    async with world(lab_application(), single=True) as house, house.ask("/", headers=_visit(house, ALICE, "owner")) as answer:
        assert answer.status == 404
