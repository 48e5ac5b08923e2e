"""A template in a whole house: one click, the first notebook open in JupyterLab; started again, what is there stays."""

import re
import uuid
from typing import Any

import docker
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import sign_in
from tests.journeys.test_browser import LAB_PATH, stop
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.browser]
FIRST = "/workspace/templates/gpu-tour-v1/gpu_tour.ipynb"


def test_one_click_leads_to_the_first_notebook_and_a_second_start_keeps_what_is_there(page: Page, house: House, engine: docker.DockerClient) -> None:
    sign_in(page, house, "charlie")
    page.goto(f"{house.url}/launch/")
    page.get_by_role("button", name="Start GPU tour").click()
    page.wait_for_url(LAB_PATH)
    found = LAB_PATH.search(page.url)
    assert found
    opener = page.get_by_role("button", name="Open gpu_tour.ipynb")
    expect(opener).to_be_visible(timeout=90_000)  # without a reload: the page follows the start and the copying
    with page.context.expect_page(timeout=20_000) as tab:
        opener.click()
    tab.value.wait_for_url(re.compile(rf"/l/{found[1]}/lab/tree/templates/gpu-tour-v1/gpu_tour.ipynb"), timeout=30_000)
    expect(tab.value.locator(".jp-NotebookPanel").get_by_text("A tour of your lab").last).to_be_visible(timeout=60_000)
    inside = engine.containers.get(f"gpulab-{found[1]}-1")
    owner = inside.exec_run(["stat", "-c", "%u %a", FIRST]).output.decode().split()
    assert owner == [inside.exec_run(["id", "-u"]).output.decode().strip(), "644"]
    assert inside.exec_run(["sh", "-c", f"echo mine >{FIRST}; ls -A /workspace | grep -c pyz"]).output.decode().strip() == "0"
    stop(house, "charlie", found[1])

    again = _launched(house, "charlie")
    words = wait_for(lambda: _told(house, again), within=60, what="the second start's files")
    assert "as you left it" in words
    assert engine.containers.get(f"gpulab-{again}-1").exec_run(["cat", FIRST]).output == b"mine\n"
    stop(house, "charlie", again)


def _launched(house: House, name: str) -> str:
    """By the API, as `gpulab launch --template` does."""
    with house.api(name) as client:
        offered: dict[str, Any] = next(one for one in client.get("/templates").json()["items"] if one["slug"] == "gpu-tour")
        assert not offered["refused"]
        sizes = offered["sizes"] | {"gpus": 0, "cpus": 1, "memory_gib": 2, "hours": 1}
        answer = client.post("/labs", json=sizes | {"template": "gpu-tour", "name": f"p{uuid.uuid4().hex[:6]}"})
    assert answer.status_code == 201, answer.text
    house.lab_until(name, answer.json()["id"], "running")
    return str(answer.json()["id"])


def _told(house: House, lab_id: str) -> str:
    code = f"from labs.starters.models import Start\nprint('@@', Start.objects.get(lab='{lab_id}', state='ready').words)"
    try:
        return house.manage("shell", "--no-imports", "-c", code).partition("@@")[2]
    except Exception:
        return ""
