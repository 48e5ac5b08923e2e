"""The terminal's page: on the lab's own origin, for whoever may enter the lab, and closed to all but its own parts."""

import hashlib
import re

import pytest

from tests.worker.relay.conftest import BASE
from tests.worker.relay.world import BOB, TOKEN, World
from worker.relay.terminal import FOLDER, PARTS

PAGE = f"{BASE}/_gpulab/terminal"


@pytest.mark.asyncio
async def test_who_may_enter_the_lab_gets_the_page_and_its_parts(house: World) -> None:
    async with house.ask(PAGE) as answer:
        text = await answer.text()
        assert answer.status == 200 and answer.content_type == "text/html"
    parts = re.findall(r'(?:src|href)="([^"]*_gpulab/[^"]+)"', text)
    assert {part.partition("_gpulab/")[2] for part in parts} == set(PARTS)
    for part in parts:
        async with house.ask(part) as answer:
            assert answer.status == 200 and answer.content_type in ("text/javascript", "application/javascript", "text/css"), part


@pytest.mark.asyncio
async def test_its_policy_lets_in_nothing_but_its_own_parts_and_differs_each_time(house: World) -> None:
    policies = set()
    for _ in range(2):
        async with house.ask(PAGE) as answer:
            policy = answer.headers["Content-Security-Policy"]
            nonce = re.search(r"'nonce-([^']+)'", policy)
            assert nonce and f'data-nonce="{nonce[1]}"' in await answer.text()
            policies.add(policy)
    assert len(policies) == 2
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


@pytest.mark.asyncio
async def test_strangers_get_neither_the_page_nor_its_parts(house: World) -> None:
    for headers in ({"Host": house.host}, house.visitor(BOB)):
        for path in (PAGE, f"{BASE}/_gpulab/terminal.js"):
            async with house.ask(path, headers=headers) as answer:
                assert answer.status == 403


@pytest.mark.asyncio
async def test_on_the_address_for_clients_it_is_no_page(house: World) -> None:
    headers = {"Host": f"localhost:{house.relay_port}", "Authorization": f"token {TOKEN}"}
    async with house.ask(PAGE, headers=headers) as answer:
        assert answer.content_type != "text/html"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["terminal.html", "vendor/README.md", "../app.py", "%2e%2e/app.py", "vendor/xterm/LICENSE", "terminal/"])
async def test_nothing_else_of_the_folder_is_served(house: World, name: str) -> None:
    async with house.ask(f"{BASE}/_gpulab/{name}") as answer:
        assert b"<!doctype html>" not in await answer.read() and "Content-Security-Policy" in answer.headers
        if answer.status == 200:
            assert (await answer.json())["path"]  # the lab's own answer: it was carried there


def test_what_others_wrote_is_what_was_checked() -> None:
    vendor = FOLDER / "vendor"
    listed = dict(reversed(line.split("  ./")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    there = {str(path.relative_to(vendor)) for path in vendor.rglob("*") if path.is_file()} - {"SHA256SUMS", "README.md"}
    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    assert all((folder / "LICENSE").read_text() for folder in vendor.iterdir() if folder.is_dir())
