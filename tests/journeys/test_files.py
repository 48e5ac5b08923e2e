"""One's files in a real browser, on the real engine, while no lab runs: upload, preview, trash; and what others do not get."""

import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.doors_bulk import peak_mib
from tests.contracts.desk_contract import NOTEBOOK
from tests.journeys.conftest import sign_in
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.browser]
MIB = 1024 * 1024
#: The size of the long upload, and at which shares of it the line is cut.
LARGE, CUTS = 2048 * MIB, (0.2, 0.45, 0.7)
#: Buffers breathe; a door that keeps what it carries grows by all of it.
BREATH_MIB = 64


@pytest.fixture(scope="module")
def files(browser: Browser, house: House) -> Iterator[Page]:
    """Alice's files, opened by a click; she has no lab."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    sign_in(page, house, "alice")
    page.get_by_role("link", name="Files").first.click()
    page.get_by_role("button", name="Open my files").click()
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible(timeout=60_000)
    expect(page.locator("#pick")).to_be_visible(timeout=30_000)
    yield page
    context.close()


def test_files_are_uploaded_shown_deleted_and_brought_back_and_nothing_of_them_runs(files: Page, house: House, tmp_path: Path) -> None:
    complaints: list[str] = []
    files.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    assert re.match(rf"http://lab-[a-z2-7]{{12}}\.localhost:{house.labs_port}/l/[a-z2-7]{{12}}/$", files.url)
    home = files.url
    (tmp_path / "table.csv").write_text("name,value\nada,1\n")
    (tmp_path / "eleven.ipynb").write_text(json.dumps(NOTEBOOK))
    files.locator("#pick input").set_input_files([tmp_path / "table.csv", tmp_path / "eleven.ipynb"])
    for name in ("table.csv", "eleven.ipynb"):
        expect(files.locator("#listing").get_by_role("link", name=name, exact=True)).to_be_visible(timeout=30_000)
    (tmp_path / "table.csv").write_text("name,value\ngrace,2\n")
    files.locator("#pick input").set_input_files([tmp_path / "table.csv"])
    expect(files.get_by_text("There is table.csv already.")).to_be_visible(timeout=30_000)
    files.get_by_role("button", name="Keep both").click()
    expect(files.locator("#listing").get_by_role("link", name="table (2).csv", exact=True)).to_be_visible(timeout=30_000)
    assert not complaints
    files.locator("#listing").get_by_role("link", name="table (2).csv", exact=True).click()
    expect(files.get_by_role("cell", name="grace")).to_be_visible(timeout=30_000)
    files.get_by_role("button", name="Delete").click()
    expect(files.get_by_text("It lies in the trash for seven days.")).to_be_visible(timeout=30_000)
    files.get_by_role("link", name="Trash").first.click()
    files.get_by_role("button", name="Restore").click()
    expect(files.get_by_text("It is back where it was.")).to_be_visible(timeout=30_000)
    files.goto(f"{home}view?path=eleven.ipynb")
    expect(files.frame_locator("iframe").get_by_role("heading", name="Eleven")).to_be_visible(timeout=60_000)
    assert "ran" not in (files.title(), files.frames[1].title()), "nothing in a notebook runs"
    files.set_viewport_size({"width": 390, "height": 844})
    files.goto(home)
    assert files.evaluate("document.documentElement.scrollWidth <= innerWidth")
    files.set_viewport_size({"width": 1440, "height": 900})


def test_an_upload_that_is_paused_goes_on_where_it_was(files: Page, tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    files.locator("#pick input").set_input_files(tmp_path / "large.bin")
    files.get_by_role("button", name="Pause").click()
    expect(files.get_by_text(re.compile("paused at"))).to_be_visible(timeout=30_000)
    files.get_by_role("button", name="Resume").click()
    expect(files.locator("#listing").get_by_role("link", name="large.bin", exact=True)).to_be_visible(timeout=90_000)
    expect(files.get_by_text("300 MiB, uploaded")).to_be_visible(timeout=30_000)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_gigabytes_cut_three_times_arrive_by_the_browser_to_the_byte_with_flat_memory(
    files: Page, house: House, engine: docker.DockerClient, tmp_path: Path
) -> None:
    """The relay is killed once, the browser loses its network twice; it goes on by itself each time."""
    digest, began = written(tmp_path / "dataset.bin"), time.monotonic()
    files.locator("#pick input").set_input_files(tmp_path / "dataset.bin")
    bar = files.locator("#uploads progress").last
    until_share(bar, CUTS[0])
    old = house.pid_of("relay")
    assert old
    with cut_short(files):
        os.kill(old, signal.SIGKILL)
    wait_for(lambda: house.pid_of("relay") not in (None, old), within=60, what="the relay's return")
    doors = {"relay": house.pid_of("relay") or 0, "portal": house.pid_of("portal.asgi:application") or 0}
    before: dict[str, float] = {}
    for share in CUTS[1:]:
        until_share(bar, share)
        before = before or {name: peak_mib(pid) for name, pid in doors.items()}  # of a relay that is up and has carried a quarter
        with cut_short(files):
            files.context.set_offline(True)
        files.context.set_offline(False)
    expect(files.get_by_text("2.0 GiB, uploaded")).to_be_visible(timeout=600_000)
    seconds = time.monotonic() - began
    grew = {name: round(peak_mib(pid) - before[name], 1) for name, pid in doors.items()}
    container = page_container(files, engine)
    held = round(max(peak_mib(int(row[1])) for row in container.top()["Processes"]), 1)
    print(f"2 GiB, cut {len(CUTS)} times: {seconds:.0f} s, peaks grew by {grew} MiB, the file page's own peak {held} MiB")
    found = container.exec_run(["sha256sum", "/workspace/dataset.bin"]).output.decode().split()[0]
    container.exec_run(["rm", "/workspace/dataset.bin"], user=container.attrs["Config"]["User"])
    assert found == digest
    assert max(grew.values()) < BREATH_MIB and held < BREATH_MIB * 2, (grew, held)


def until_share(bar: Locator, share: float) -> None:
    """That much of the upload is there."""
    wait_for(lambda: bar.evaluate("one => one.value") >= share * LARGE, within=600, what=f"{share} of the upload", every=0.1)


def cut_short(files: Page) -> AbstractContextManager[object]:
    """What happens in it ends a request of the upload; the context ends with that request."""
    return files.expect_event("requestfailed", lambda request: "/upload/" in request.url, timeout=120_000)


def written(file: Path) -> str:
    """A large file, no block of it like another; its digest."""
    block, whole = os.urandom(MIB - 8), hashlib.sha256()
    with file.open("wb") as out:
        for number in range(LARGE // MIB):
            piece = number.to_bytes(8, "big") + block
            whole.update(piece)
            out.write(piece)
    return whole.hexdigest()


def page_container(files: Page, engine: docker.DockerClient) -> Any:
    """What serves the open file page."""
    found = re.search(r"/l/([a-z2-7]{12})/", files.url)
    assert found
    return next(one for one in engine.containers.list() if one.name.startswith(f"gpulab-{found[1]}-"))


def test_what_cannot_be_reached_from_the_persons_network_is_told(files: Page) -> None:
    files.get_by_text("From a URL").click()
    files.get_by_label("Address", exact=True).fill("http://10.255.255.1:9/data.csv")
    files.get_by_role("button", name="Fetch it").click()
    expect(files.get_by_text("It is being fetched.")).to_be_visible(timeout=30_000)
    failed = files.locator("#fetches .failed").filter(has_text="data.csv")
    expect(failed).to_contain_text("Your labs reach the internet, not private networks.", timeout=90_000)


def test_a_colleague_an_administrators_ticketless_visit_and_a_signed_out_browser_get_nothing(files: Page, browser: Browser, house: House) -> None:
    address = files.url.split("?")[0]
    for name in ("bob", "charlie"):
        context = browser.new_context()
        other = context.new_page()
        sign_in(other, house, name)
        answer = other.goto(address)
        assert answer and answer.status == 403
        context.close()
    assert httpx.get(address.replace(re.findall(r"lab-[a-z2-7]+\.localhost", address)[0], "127.0.0.1")).status_code in (403, 404)


def test_a_program_lists_downloads_and_uploads_by_the_apis_link(files: Page, house: House) -> None:
    with house.api("alice") as client:
        link = client.post("/files/link", json={}).json()
    headers, url = {"Authorization": f"Bearer {link['token']}"}, link["url"].replace("://localhost:", "://127.0.0.1:")
    host = {"Host": link["url"].split("/")[2]}

    def get(path: str) -> httpx.Response:
        return httpx.get(url + path, headers=headers | host, timeout=30)

    wait_for(lambda: get("api/list").status_code == 200, within=30, what="the files")
    assert "table.csv" in [one["name"] for one in get("api/list").json()["entries"]]
    assert get("raw?path=table.csv").text == "name,value\nada,1\n"
    assert httpx.get(url + "api/list", headers=host | {"Authorization": "Bearer gpf_guessed"}, timeout=30).status_code == 403
    with house.api("bob") as client:
        other = client.post("/files/link", json={}).json()
    assert httpx.get(url + "api/list", headers=host | {"Authorization": f"Bearer {other['token']}"}, timeout=30).status_code == 403


def test_the_container_holds_the_workspace_alone_as_its_owner(files: Page, engine: docker.DockerClient, house: House) -> None:
    container = page_container(files, engine)
    facts = container.attrs
    targets = sorted(one["Destination"] for one in facts["Mounts"])
    assert targets == ["/etc/group", "/etc/passwd", "/run/gpulab", "/workspace"]
    assert (facts["HostConfig"]["ReadonlyRootfs"], facts["HostConfig"]["CapDrop"], facts["HostConfig"]["Memory"]) == (True, ["ALL"], 512 * 1024 * 1024)
    owner = container.exec_run(["stat", "-c", "%u", "/workspace/table.csv"]).output.decode().strip()
    assert owner == facts["Config"]["User"].partition(":")[0]
