"""`make up` itself, from a clean clone with an empty home: from sign-in to a computed cell, in a real browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.embedded.conftest import IMAGE
from tests.support.notebook import compute
from tests.support.ports import port_base_free
from tests.support.waiting import wait_for
from worker.runtimes.process.environment import environment_of

expect.set_options(timeout=30_000)  # five seconds are few where others are at work
ROOT = Path(__file__).resolve().parents[2]
LAB_PATH = re.compile(r"/labs/([a-z2-7]{12})/")
SERVING = re.compile(r"serving after ([\d.]+) s")
SET_UP = 600  # seconds for a copy that fetches its environment: what is waited for then is the network
NOT_PASSED_ON = ("GPULAB_", "DJANGO_", "VIRTUAL_ENV", "DOCKER_HOST", "PORT", "MAKE", "MFLAGS", "PYTEST_", "PYTHON")


@dataclass
class Copy:
    """One running `make up`."""

    clone: Path
    port: int
    environment: dict[str, str]
    log: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def up(self, within: float) -> float:
        """Start as a person does and wait until it says that it serves; the seconds since the command."""
        began = time.monotonic()
        self.log.clear()
        self.process = subprocess.Popen(
            ["make", "up"], cwd=self.clone, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        threading.Thread(target=self._follow, args=(self.process,), daemon=True).start()
        deadline = began + within
        while not self._is_up():
            assert time.monotonic() < deadline, f"not serving after {within:g} s:\n" + "\n".join(self.log[-60:])
            time.sleep(0.02)
        return time.monotonic() - began

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        self.log.extend(line.rstrip() for line in process.stdout)

    def _is_up(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "`make up` ended:\n" + "\n".join(self.log[-60:])
        return self.says(SERVING) is not None

    def says(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The first line of the log that matches."""
        return next((found for line in list(self.log) if (found := pattern.search(line))), None)

    def password(self) -> str:
        """The first administrator's, shown once."""
        found = wait_for(lambda: self.says(re.compile(r"Password: +(\S+)")), what="the first password")
        return str(found.group(1))

    def ctrl_c(self, within: float = 90) -> int:
        """What a terminal does: SIGINT to everything in the foreground."""
        assert self.process
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(within)

    def manage(self, *arguments: str) -> str:
        """`manage.py …` by hand beside the running copy, as its README says."""
        command = [".venv/bin/python", "manage.py", *arguments]
        ran = subprocess.run(command, cwd=self.clone, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def processes(self) -> list[str]:
        """Command lines of everything that still runs from this copy's clone or home."""
        marks = (str(self.clone), self.environment["GPULAB_HOME"])
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                found += [command] if any(mark in command for mark in marks) else []
        return found


@pytest.fixture(scope="module")
def copy_make(tmp_path_factory: pytest.TempPathFactory, envs: Path) -> Iterator[Callable[[], Copy]]:
    """Clean clones of what is committed, each with an empty home; the environment that holds torch is shared."""
    made: list[Copy] = []

    def make() -> Copy:
        base = tmp_path_factory.mktemp("up")
        subprocess.run(["git", "clone", "--quiet", ROOT, base / "clone"], check=True)
        (base / "empty").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
        port = port_base_free()
        own = {"PORT": str(port), "GPULAB_HOME": str(base / "data of a copy"), "HOME": str(base / "empty")}
        own |= {"GPULAB_RUNTIME": "process", "GPULAB_ENVS": str(envs)}
        made.append(Copy(clone=base / "clone", port=port, environment=kept | own))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.ctrl_c()


@pytest.fixture(scope="module")
def copy(copy_make: Callable[[], Copy]) -> Copy:
    """The copy of most tests; they follow its life in order."""
    return copy_make()


@pytest.fixture
def page() -> Iterator[Page]:
    """A fresh profile of Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        message = "needs chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        browser.close()


def sign_in(page: Page, copy: Copy, password: str) -> None:
    """By the form."""
    page.goto(f"{copy.url}/accounts/login/")
    page.locator("input[name=login]").fill("admin@localhost")
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{copy.url}/")


@pytest.mark.browser
@pytest.mark.timeout(SET_UP + 300)
def test_from_a_clean_clone_to_a_computed_cell(copy: Copy, page: Page) -> None:
    took = copy.up(within=SET_UP)
    print(f"first start: {took:.1f} s from the command, all set-up included")
    sign_in(page, copy, copy.password())
    runtime = wait_for(lambda: copy.says(re.compile(r"runtime (process: .*)")), what="the runtime told")
    assert "GPULAB_RUNTIME=process" in runtime.group(1)
    preset = page.get_by_role("button", name=re.compile("no GPU", re.IGNORECASE)).first
    wait_for(lambda: page.reload() and preset.count() > 0, within=60, what="an image to launch", every=0.5)
    preset.click()
    page.wait_for_url(LAB_PATH)
    found = LAB_PATH.search(page.url)
    assert found
    opener = page.get_by_role("button", name=re.compile("Open JupyterLab")).first
    expect(opener).to_be_visible(timeout=60_000)
    expect(page.locator("body")).to_contain_text(re.compile("not kept apart|not isolate"))
    with page.context.expect_page() as opened:
        opener.click()
    lab = opened.value
    lab.wait_for_url(re.compile(rf"http://lab-{found.group(1)}\.localhost:{copy.port + 1}/l/{found.group(1)}/lab"), timeout=60_000)
    compute(lab, "import torch; print(int(torch.ones(6, 7).sum()))", "42")


def test_nothing_runs_as_root_in_the_lab_and_the_token_is_nowhere(copy: Copy) -> None:
    home = Path(copy.environment["GPULAB_HOME"])
    (folder,) = [path.parent for path in home.glob("run/*/plan.json")]
    token = (folder / "token").read_text()
    assert len(token) >= 43
    assert not any(token in line for line in copy.log)
    assert copy.processes()
    assert not any(token in command for command in copy.processes())
    if os.geteuid() == 0:
        assert (folder / "token").stat().st_uid != 0


def test_openssh_reaches_the_lab_through_the_gateway_with_its_environment(copy: Copy, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    code = (
        "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.people.services import ssh_key_add\n"
        f"ssh_key_add(user=User.objects.get(), name='test', text={(tmp_path / 'key.pub').read_text()!r}, now=now())\n"
        "from labs.lifecycle.models import Lab\nprint('lab', Lab.objects.get().name)"
    )
    told = copy.manage("shell", "-c", code)
    name = re.findall(r"^lab (\S+)$", told, re.MULTILINE)[-1]
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    command = ["ssh", "-F", "/dev/null", "-i", tmp_path / "key", *known, "-p", str(copy.port - 5778), f"{name}@localhost"]
    answered = [*command, "id -u; python -c 'import torch; print(torch.ones(2, 3).sum().item())'"]

    def done() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(answered, capture_output=True, text=True, timeout=120, check=False)

    ran = wait_for(lambda: found if (found := done()).returncode == 0 else None, within=90, what="an answer over SSH", every=0.5)
    uid, computed = ran.stdout.split()
    assert computed == "6.0"
    assert os.geteuid() != 0 or int(uid) >= 20000


@pytest.mark.timeout(300)
def test_jupyters_own_client_computes_in_the_lab_with_a_token_and_with_no_other(copy: Copy, envs: Path) -> None:
    code = (
        "from django.utils.timezone import now\nfrom labs.lifecycle.models import Lab\nfrom labs.lifecycle.services import lab_token_create\n"
        "lab = Lab.objects.get()\nprint('given', lab.pk, lab_token_create(lab=lab, name='desktop', actor=lab.owner, now=now())[1])"
    )
    lab, token = re.findall(r"^given (\S+) (\S+)$", copy.manage("shell", "-c", code), re.MULTILINE)[-1]

    def cell(shown: str) -> "subprocess.CompletedProcess[str]":
        asked = {"url": f"http://localhost:{copy.port + 1}/l/{lab}/", "token": shown, "code": "print(6 * 7)"}
        command = [environment_of(envs, IMAGE).python, "-P", ROOT / "tests/support/gateway_cell.py"]
        return subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=240, check=False)

    computed = cell(token)
    assert computed.stdout == "42\n", computed.stderr
    refused = cell(token[:-1])
    assert refused.returncode != 0 and refused.stdout == "" and "403" in refused.stderr


def test_everything_is_bound_to_the_loopback(copy: Copy) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    ours = [line.split()[3] for line in listening.splitlines() if line.split()[3].rpartition(":")[2] in {str(copy.port + offset) for offset in range(4)}]
    assert len(ours) == 4, listening
    assert {address.rpartition(":")[0] for address in ours} == {"127.0.0.1"}


@pytest.mark.timeout(SET_UP + 120)
def test_a_second_copy_runs_side_by_side_and_a_third_on_its_folder_is_refused(copy: Copy, copy_make: Callable[[], Copy]) -> None:
    second = copy_make()
    second.up(within=SET_UP)
    assert httpx.get(f"{copy.url}/healthz", timeout=60).status_code == httpx.get(f"{second.url}/healthz", timeout=60).status_code == 200
    environment = second.environment | {"PORT": str(second.port + 50)}
    third = subprocess.run(["make", "up"], cwd=second.clone, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert third.returncode != 0
    assert "already runs on" in third.stderr
    environment = second.environment | {"GPULAB_HOME": f"{second.environment['GPULAB_HOME']}-other"}
    taken = subprocess.run(["make", "up"], cwd=second.clone, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert taken.returncode != 0
    assert f"Port {second.port} (web) is taken" in taken.stderr
    second.ctrl_c()
    assert second.processes() == []
    assert httpx.get(f"{copy.url}/healthz", timeout=60).status_code == 200


def test_ctrl_c_ends_all_with_the_labs_in_it(copy: Copy) -> None:
    copy.ctrl_c()
    assert copy.processes() == []
    wait_for(lambda: any("ended, and one running lab with it" in line for line in copy.log), what="the last line of the log")


@pytest.mark.timeout(600)
def test_the_second_start_serves_within_five_seconds_and_shows_no_password(copy: Copy) -> None:
    took = []
    for _ in range(2):
        took.append(copy.up(within=120))
        assert copy.says(re.compile("Password:")) is None
        copy.ctrl_c()
    print(f"second start: {', '.join(f'{one:.1f} s' for one in took)}")
    assert min(took) <= 5.0
    assert copy.processes() == []


def test_a_lab_that_ended_with_the_command_says_so_after_the_next_start(copy: Copy, page: Page) -> None:
    copy.up(within=120)
    found = re.search(r"Password: +(\S+)", copy.manage("first_admin", "--reset"))
    assert found
    sign_in(page, copy, found.group(1))
    expect(page.get_by_text("No lab is running")).to_be_visible(timeout=30_000)
    copy.ctrl_c()
