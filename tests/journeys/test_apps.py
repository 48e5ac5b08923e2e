"""More ways into a lab, in a real browser: the terminal, TensorBoard, VS Code's stand-in, a port shared with a colleague."""

import re
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from tests.journeys.conftest import sign_in
from tests.journeys.test_engine import ask, stop
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.browser]
#: What a withdrawal may take, on the way of the bytes too.
CUT_S = 5.0


@pytest.fixture(scope="module")
def lab(house: House, engine: docker.DockerClient) -> Iterator[dict[str, Any]]:
    """Alice's lab with a folder of runs, a small server on port 8080, and a program called code-server."""
    answer = ask(house, "alice", name="apps")
    assert answer.status_code == 201, answer.text
    made = house.lab_until("alice", answer.json()["id"], "running")
    inside = engine.containers.get(f"gpulab-{made['id']}-1")
    server = "#!/bin/sh\\nexec python3 -m http.server --bind ${4%%:*} ${4##*:}\\n"
    steps = f'mkdir -p ~/runs ~/site "$PYTHONUSERBASE/bin" && echo from-the-lab >~/site/index.html && printf \'{server}\' >"$PYTHONUSERBASE/bin/code-server"'
    assert inside.exec_run(["bash", "-lc", f'{steps} && chmod +x "$PYTHONUSERBASE/bin/code-server"']).exit_code == 0
    inside.exec_run(["bash", "-lc", "cd ~/site && exec python3 -m http.server 8080"], detach=True)
    yield made
    stop(house, "alice", made["id"])


def opened(page: Page, name: str | re.Pattern[str]) -> Page:
    """The tab that a button opens."""
    with page.context.expect_page(timeout=60_000) as tab:
        page.get_by_role("button", name=name).first.click()
    return tab.value


def lab_page(context: BrowserContext, house: House, lab: dict[str, Any]) -> Page:
    page = context.new_page()
    page.goto(f"{house.url}/labs/{lab['id']}/")
    return page


def screen(page: Page) -> str:
    return page.locator(".xterm-rows").inner_text()


def test_the_terminal_is_a_shell_of_the_lab_that_survives_a_broken_line_and_a_narrow_screen(alice: BrowserContext, house: House, lab: dict[str, Any]) -> None:
    lines: list[WebSocketRoute] = []

    def relayed(route: WebSocketRoute) -> None:
        lines.append(route)
        route.connect_to_server()

    alice.route_web_socket(re.compile("/terminals/websocket/"), relayed)
    terminal = opened(lab_page(alice, house, lab), "Open a terminal")
    complaints: list[str] = []
    terminal.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    terminal.wait_for_selector("html[data-connected]", timeout=60_000)
    assert re.match(rf"http://lab-{lab['id']}\.localhost:{house.labs_port}/l/{lab['id']}/_gpulab/terminal", terminal.url)
    terminal.keyboard.type("printf '\\e[38;2;200;30;90mcolours\\e[0m'; cd ~/runs && echo $((6*7))-$GPULAB_LAB\n")
    wait_for(lambda: f"42-{lab['id']}" in screen(terminal), within=60, what="the answer of the shell")
    lines[-1].close()
    wait_for(lambda: screen(terminal) is not None and len(lines) > 1, within=60, what="a second line")
    terminal.wait_for_selector("html[data-connected]", timeout=60_000)
    terminal.set_viewport_size({"width": 390, "height": 844})
    terminal.keyboard.type("pwd\n")
    wait_for(lambda: "/workspace/runs" in screen(terminal), within=60, what="the same shell")
    assert terminal.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not complaints
    terminal.close()


def test_tensorboard_opens_by_one_click_on_a_folder_and_ends_by_another(alice: BrowserContext, house: House, lab: dict[str, Any]) -> None:
    page = lab_page(alice, house, lab)
    page.locator("#id_folder_tensorboard").fill("runs")
    page.locator("form:has(#id_folder_tensorboard) button").click()
    expect(page.get_by_role("button", name="Open TensorBoard")).to_be_visible(timeout=60_000)  # without a reload
    board = opened(page, "Open TensorBoard")
    expect(board).to_have_title(re.compile("TensorBoard"), timeout=60_000)
    assert re.match(rf"http://p\d+-lab-{lab['id']}\.localhost:{house.labs_port}/", board.url)
    page.locator("#lab-apps").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Open TensorBoard")).to_have_count(0, timeout=60_000)
    wait_for(lambda: status(board) in (0, 502), within=60, what="TensorBoard's end")


def test_a_program_called_code_server_is_found_and_opened_and_a_missing_folder_is_told(alice: BrowserContext, house: House, lab: dict[str, Any]) -> None:
    page = lab_page(alice, house, lab)
    page.locator("#id_folder_vscode").fill("nowhere")
    page.locator("form:has(#id_folder_vscode) button").click()
    expect(page.get_by_text("There is no folder nowhere in the workspace.")).to_be_visible(timeout=60_000)
    page.locator("#id_folder_vscode").fill("site")
    page.locator("form:has(#id_folder_vscode) button").click()
    editor = opened(page, "Open VS Code") if page.get_by_role("button", name="Open VS Code").first.wait_for(timeout=60_000) is None else page
    expect(editor.get_by_text("from-the-lab")).to_be_visible(timeout=60_000)
    assert editor.url.endswith("/?folder=%2Fworkspace%2Fsite")


def test_a_shared_port_opens_for_bob_alone_gives_nothing_else_and_a_withdrawal_cuts(
    alice: BrowserContext, browser: Browser, house: House, lab: dict[str, Any]
) -> None:
    page = lab_page(alice, house, lab)
    page.get_by_text("Share a port with others").click()
    page.locator("#id_share_port").fill("8080")
    page.locator("#id_share_name").fill("Demo of the detector")
    page.locator("#id_share_email").fill("bob@example.edu")
    page.get_by_role("button", name="Share it").click()
    expect(page.get_by_role("cell", name="Demo of the detector")).to_be_visible()
    bobs = browser.new_context()
    home = bobs.new_page()
    sign_in(home, house, "bob")
    expect(home.get_by_text("Demo of the detector")).to_be_visible()
    demo = opened(home, "Open")
    expect(demo.get_by_text("from-the-lab")).to_be_visible(timeout=60_000)
    other = bobs.new_page()
    assert visited(other, f"http://lab-{lab['id']}.localhost:{house.labs_port}/l/{lab['id']}/api/contents") == 403
    assert visited(other, f"{house.url}/labs/{lab['id']}/") == 404
    charlies = browser.new_context()
    stranger = charlies.new_page()
    sign_in(stranger, house, "charlie")
    assert "Demo of the detector" not in stranger.content()
    assert visited(stranger, demo.url) == 403
    page.get_by_role("button", name="Withdraw").click()
    page.get_by_role("button", name="Withdraw it").click()
    expect(page.get_by_role("cell", name="Demo of the detector")).to_have_count(0)
    began = time.monotonic()
    wait_for(lambda: status(demo) == 403, within=60, what="the cut")
    assert time.monotonic() - began < CUT_S
    bobs.close()
    charlies.close()


def visited(page: Page, url: str) -> int:
    """The status with which an address answers this browser."""
    answer = page.goto(url)
    return answer.status if answer else 0


def status(page: Page) -> int:
    """What the page's own origin answers now; 0 for nothing."""
    code = "fetch(location.href, {cache: 'no-store'}).then((answer) => answer.status, () => 0)"
    return int(page.evaluate(code))


def test_an_announcement_stands_on_the_page_and_in_the_terminal(alice: BrowserContext, house: House, lab: dict[str, Any]) -> None:
    terminal = opened(lab_page(alice, house, lab), "Open a terminal")
    terminal.wait_for_selector("html[data-connected]", timeout=60_000)
    script = (
        "from datetime import timedelta\nfrom django.utils.timezone import now\nfrom labs.announcements.services import announcement_make\n"
        "from labs.people.models import User\n"
        "announcement_make(words='The house moves.', until=now() + timedelta(minutes=5), to_terminals=True,"
        " actor=User.objects.filter(role='administrator').first(), now=now())"
    )
    house.manage("shell", "--no-imports", "-c", script)
    wait_for(lambda: "GPU Lab: The house moves." in screen(terminal), within=60, what="the words in the terminal")
    page = lab_page(alice, house, lab)  # the house looks for announcements every few seconds, not once a page
    wait_for(lambda: page.reload() and page.get_by_text("The house moves.").is_visible(), within=60, every=1, what="the banner")
    assert screen(terminal).count("GPU Lab: The house moves.") == 1, "it is written once"
