"""In a real browser: sign in, one click, JupyterLab, a computed cell; and what a stranger does not get."""

import os
import re
import signal
import uuid

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import sign_in
from tests.support.notebook import compute
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.browser]
LAB_PATH = re.compile(r"/labs/([a-z2-7]{12})/")


def launch_by_preset(page: Page, house: House, name: str) -> str:
    """Sign in, press the first preset without a GPU; the lab's id."""
    sign_in(page, house, name)
    page.get_by_role("button", name=re.compile("no GPU", re.IGNORECASE)).first.click()
    page.wait_for_url(LAB_PATH)
    found = LAB_PATH.search(page.url)
    assert found
    return found.group(1)


def stop(house: House, name: str, lab_id: str) -> None:
    with house.api(name) as client:
        client.post(f"/labs/{lab_id}/stop")
    house.lab_until(name, lab_id, "stopped", within=90)


def test_three_clicks_after_signing_in_a_cell_computes_in_jupyterlab(page, house, browser):
    lab_id = launch_by_preset(page, house, "charlie")
    opener = page.get_by_role("button", name=re.compile("Open JupyterLab")).first
    expect(opener).to_be_visible(timeout=60_000)  # without a reload: the page follows the start
    with page.context.expect_event("page", timeout=30_000) if opens_tab(page) else page.expect_navigation() as opened:
        opener.click()
    lab = opened.value if isinstance(opened.value, Page) else page
    lab.wait_for_url(re.compile(rf"http://lab-{lab_id}\.localhost:{house.labs_port}/l/{lab_id}/lab"), timeout=60_000)
    assert "token" not in lab.url and "ticket" not in lab.url
    compute(lab, "import torch; print(int(torch.ones(6, 7).sum()))", "42")
    terminal_echoes(lab)
    a_relay_that_is_restarted_costs_seconds(lab, house)
    stop(house, "charlie", lab_id)


def opens_tab(page: Page) -> bool:
    return page.locator("form[action$='/open'][target=_blank], form[action$='/open/'][target=_blank]").count() > 0


def terminal_echoes(lab: Page) -> None:
    """A terminal of JupyterLab answers through its websocket."""
    origin = re.match(r"(http://[^/]+)/l/([a-z2-7]+)/", lab.url)
    assert origin
    token = "(document.cookie.match(/_xsrf=([^;]+)/) || [])[1]"
    url = "location.pathname.replace(/lab.*/, '') + 'api/terminals'"
    code = f"fetch({url}, {{method: 'POST', headers: {{'X-XSRFToken': {token}}}}}).then(r => r.status)"
    assert lab.evaluate(code) == 200


def a_relay_that_is_restarted_costs_seconds(lab: Page, house: House) -> None:
    """The kernel runs on, JupyterLab comes back by itself, and what was printed meanwhile is there."""
    cell = lab.locator(".jp-Notebook .jp-Cell .cm-content").last
    cell.click()
    lab.keyboard.insert_text("import time; [(print('tick', i), time.sleep(0.5)) for i in range(10)]; print('all', 'ten')")
    lab.keyboard.press("Shift+Enter")
    output = lab.locator(".jp-OutputArea-output").last
    expect(output).to_contain_text("tick 1")
    old = house.pid_of("relay")
    assert old
    os.kill(old, signal.SIGKILL)
    expect(output).to_contain_text("all ten", timeout=60_000)
    assert [f"tick {number}" in (output.text_content() or "") for number in range(10)] == [True] * 10
    expect(lab.get_by_text("| Idle").first).to_be_visible(timeout=30_000)
    wait_for(lambda: house.pid_of("relay") not in (None, old), what="the next relay")


def test_a_notebooks_script_cannot_read_the_portals_cookies(page, house):
    lab_id = launch_by_preset(page, house, "charlie")
    house.lab_until("charlie", lab_id, "running")
    page.reload()
    opener = page.get_by_role("button", name=re.compile("Open JupyterLab")).first
    with page.context.expect_event("page", timeout=30_000) if opens_tab(page) else page.expect_navigation() as opened:
        opener.click()
    lab = opened.value if isinstance(opened.value, Page) else page
    lab.wait_for_url(re.compile(r"/lab(\?|$|/)"), timeout=60_000)
    cookies = lab.evaluate("document.cookie")
    assert "gpulab_csrf" not in cookies and "gpulab_session" not in cookies and "gpulab_pass" not in cookies
    stop(house, "charlie", lab_id)


def test_a_second_person_can_neither_open_nor_see_the_lab_in_the_browser(page, house):
    with house.api("alice") as client:
        image = client.get("/images").json()["items"][0]["id"]
        body = {"image": image, "gpus": 0, "cpus": 1, "memory_gib": 2, "shm_gib": 1, "hours": 1, "name": f"p{uuid.uuid4().hex[:6]}"}
        lab_id = client.post("/labs", json=body).json()["id"]
    house.lab_until("alice", lab_id, "running")
    sign_in(page, house, "bob")
    answer = page.goto(f"{house.url}/labs/{lab_id}/")
    assert answer is not None and answer.status == 404
    direct = httpx.get(f"http://127.0.0.1:{house.labs_port}/l/{lab_id}/lab", headers={"Host": f"lab-{lab_id}.localhost:{house.labs_port}"}, timeout=30)
    assert direct.status_code in (302, 303, 401, 403)
    assert "jupyter-config-data" not in direct.text
    stop(house, "alice", lab_id)


def test_the_gpu_page_shows_both_cards_live(page, house):
    sign_in(page, house, "alice")
    page.goto(f"{house.url}/gpus/")
    expect(page.get_by_text("NVIDIA H200").first).to_be_visible()
    expect(page.get_by_text("aaaaaaaa").first).to_be_visible()
    expect(page.get_by_text("SIMULATED")).to_have_count(0)


def test_a_refusal_is_told_in_words_beside_the_form(page, house):
    sign_in(page, house, "bob")
    page.goto(f"{house.url}/launch/")
    page.locator("#launch input[name=gpus]").fill("2")
    page.locator("#launch input[name=gpus]").press("Tab")
    expect(page.get_by_text(re.compile("your limit is 1")).first).to_be_visible(timeout=30_000)
