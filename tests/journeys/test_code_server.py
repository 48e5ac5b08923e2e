"""VS Code in the browser as it really is: code-server of npm in a lab, opened in Chromium by the way that people take."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.test_apps import lab_page, opened
from tests.journeys.test_engine import ask, stop
from tests.support.product import House
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.long, pytest.mark.engine, pytest.mark.browser, pytest.mark.timeout(3600)]
VERSION, NODE = "4.139.1", "24"
#: A machine with others at work on it compiles what is native in it for long.
BUILD_S = 3000
WITHIN_MS = 180_000
START = '#!/bin/sh\nexec "$HOME/code/node_modules/node/bin/node" "$HOME/code/node_modules/code-server" --disable-workspace-trust "$@"\n'


@pytest.fixture(scope="module")
def code_server() -> Path:
    """code-server and the Node that it asks for, built once and kept; that takes a compiler, and the headers of libkrb5-dev."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    kept = os.environ.get("GPULAB_CI_CACHE") or str(Path.home() / ".cache/gpulab-tests")
    folder = Path(kept) / f"code-server-{VERSION}"
    if not (folder / "whole").exists():
        folder.mkdir(parents=True, exist_ok=True)
        path = f"{folder}/node_modules/.bin:{os.environ['PATH']}"
        for wanted in (f"node@{NODE}", f"code-server@{VERSION}"):
            command = [npm, "install", "--unsafe-perm", "--no-audit", "--no-fund", "--prefix", str(folder), wanted]
            subprocess.run(command, env=os.environ | {"PATH": path}, check=True, timeout=BUILD_S, stdout=subprocess.DEVNULL)
        (folder / "whole").touch()
    return folder


@pytest.fixture(scope="module")
def lab(house: House, engine: docker.DockerClient, code_server: Path) -> Iterator[dict[str, Any]]:
    """Alice's lab with code-server among her files, and a program to edit."""
    wish = {"name": "editor", "memory_gib": 3}
    answer = wait_for(lambda: made if (made := ask(house, "alice", **wish)).status_code == 201 else None, within=180, what="the node's size")
    made = house.lab_until("alice", answer.json()["id"], "running", within=300)
    inside = container(engine, made)
    assert inside.exec_run(["bash", "-lc", "mkdir -p ~/code ~/project && echo 'print(41)' >~/project/answer.py"]).exit_code == 0
    packed = subprocess.Popen(["tar", "-C", code_server, "-c", "node_modules"], stdout=subprocess.PIPE)
    assert inside.put_archive("/workspace/code", packed.stdout) and packed.wait() == 0
    command = f'mkdir -p "$PYTHONUSERBASE/bin" && cat >"$PYTHONUSERBASE/bin/code-server" <<\'END\'\n{START}END\nchmod +x "$PYTHONUSERBASE/bin/code-server"'
    assert inside.exec_run(["bash", "-lc", command]).exit_code == 0
    yield made
    stop(house, "alice", made["id"])


def container(engine: docker.DockerClient, lab: dict[str, Any]) -> Any:
    return engine.containers.get(f"gpulab-{lab['id']}-1")


def file_of(engine: docker.DockerClient, lab: dict[str, Any], path: str) -> str:
    return str(container(engine, lab).exec_run(["cat", f"/workspace/{path}"]).output.decode(errors="replace"))


def test_a_file_is_edited_and_run_in_code_server_itself(alice: BrowserContext, house: House, lab: dict[str, Any], engine: docker.DockerClient) -> None:
    page = lab_page(alice, house, lab)
    page.locator("#id_folder_vscode").fill("project")
    page.locator("form:has(#id_folder_vscode) button").click()
    page.get_by_role("button", name="Open VS Code").first.wait_for(timeout=WITHIN_MS)
    editor = opened(page, "Open VS Code")
    assert re.match(rf"http://p\d+-lab-{lab['id']}\.localhost:{house.labs_port}/", editor.url)
    edit(editor)
    wait_for(lambda: "print(42)" in file_of(engine, lab, "project/answer.py"), within=120, what="the file as it was edited")
    editor.keyboard.press("Control+Backquote")
    editor.locator(".terminal-wrapper.active .xterm-screen").wait_for(timeout=WITHIN_MS)
    wait_for(lambda: ran(editor, engine, lab) == "42\n", within=180, what="what the program said")
    editor.close()


def ran(editor: Page, engine: docker.DockerClient, lab: dict[str, Any]) -> str:
    """What the program said that was typed into the terminal; what is typed before its shell listens may be lost."""
    editor.locator(".terminal-wrapper.active .xterm-screen").click()
    editor.keyboard.type("python3 answer.py >said.txt", delay=20)
    editor.keyboard.press("Enter")
    editor.wait_for_timeout(3000)
    return file_of(engine, lab, "project/said.txt")


def edit(editor: Page) -> None:
    """Answer what it asks of a new folder, open the file, write it anew, save."""
    expect(editor.locator(".monaco-workbench")).to_be_visible(timeout=WITHIN_MS)
    trust = editor.get_by_role("button", name=re.compile("Yes, I trust"))
    file = editor.locator(".explorer-folders-view").get_by_text("answer.py")
    expect(trust.or_(file).first).to_be_visible(timeout=WITHIN_MS)
    if trust.count():
        trust.click()
    file.dblclick(timeout=WITHIN_MS)
    expect(editor.locator(".view-lines").get_by_text("print")).to_be_visible(timeout=WITHIN_MS)
    editor.locator(".monaco-editor .view-lines").first.click()
    editor.keyboard.press("Control+a")
    editor.keyboard.type("print(42) ", delay=20)
    editor.keyboard.press("Control+s")
