"""One's files in a real browser, on the real engine, while no lab runs: upload, preview, trash; and what others do not get."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.contracts.desk_contract import NOTEBOOK
from tests.journeys.conftest import sign_in
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.browser]


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
    found = re.search(r"/l/([a-z2-7]{12})/", files.url)
    assert found
    container = next(one for one in engine.containers.list() if one.name.startswith(f"gpulab-{found[1]}-"))
    facts = container.attrs
    targets = sorted(one["Destination"] for one in facts["Mounts"])
    assert targets == ["/etc/group", "/etc/passwd", "/run/gpulab", "/workspace"]
    assert (facts["HostConfig"]["ReadonlyRootfs"], facts["HostConfig"]["CapDrop"], facts["HostConfig"]["Memory"]) == (True, ["ALL"], 512 * 1024 * 1024)
    owner = container.exec_run(["stat", "-c", "%u", "/workspace/table.csv"]).output.decode().strip()
    assert owner == facts["Config"]["User"].partition(":")[0]
