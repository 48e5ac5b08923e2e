"""One whole house on the real engine for all journeys, two cards by the stand-in driver, and a real browser."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import need
from tests.support.ports import port_base_free
from tests.support.product import PASSWORD, ROOT, House, house_environment
from tests.support.waiting import wait_for

expect.set_options(timeout=30_000)  # five seconds are few where others are at work
CARDS = [
    "driver fail=0",
    "gpu GPU-aaaaaaaa-0000-4000-8000-000000000001 name=NVIDIA_H200 total=143771 used=512 util=3 temp=35 power=80000",
    "gpu GPU-bbbbbbbb-0000-4000-8000-000000000002 name=NVIDIA_H200 total=143771 used=512 util=3 temp=36 power=81000",
]


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The private engine of the tests."""
    return docker.DockerClient(base_url=need("GPULAB_TEST_DOCKER", "a container engine"), timeout=60)


@pytest.fixture(scope="session")
def house(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """GPU Lab on the Docker runtime."""
    image = need("GPULAB_TEST_IMAGE", "the lab image of the tests")
    home = tmp_path_factory.mktemp("house")
    home.chmod(0o755)
    state = driver_compile(home)
    port = port_base_free()
    environment = house_environment(
        home, port, DOCKER_HOST=os.environ["GPULAB_TEST_DOCKER"], GPULAB_LAB_IMAGE=image, GPULAB_RUNTIME="docker", GPULAB_PROBE="nvml",
        GPULAB_NODE=f"t{port}", LD_LIBRARY_PATH=str(home / "driver"), NVML_STATE=str(state), **database(port),
    )  # fmt: skip
    made = House(home=home, port=port, environment=dict(environment))
    realm = ""
    try:
        made.start()
        made.people_make()
        with made.api("alice") as client:
            wait_for(lambda: len(client.get("/gpus").json()["items"]) == 2 and client.get("/images").json()["items"], within=120, what="cards and image")
        realm = made.manage("shell", "--no-imports", "-c", "from labs.fleet.models import Node\nprint(Node.objects.get().realm)").strip().splitlines()[-1]
        yield made
    finally:
        made.stop()
        realm_remove(engine, realm)
        if os.environ.get("GPULAB_TEST_LOG"):
            Path(os.environ["GPULAB_TEST_LOG"]).write_text("\n".join(made.log))


def database(port: int) -> dict[str, str]:
    """A database of its own on the tests' PostgreSQL, where there is one."""
    url = os.environ.get("GPULAB_TEST_DATABASE_URL", "")
    if not url:
        return {}
    import psycopg

    name = f"house{port}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return {"GPULAB_DATABASE_URL": url.rsplit("/", 1)[0] + f"/{name}"}


def driver_compile(home: Path) -> Path:
    """The stand-in for NVIDIA's library, and its state file."""
    folder = home / "driver"
    folder.mkdir()
    assert shutil.which("gcc"), "needs gcc"
    source = ROOT / "tests/nvml/stand_in.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o", folder / "libnvidia-ml.so.1", source], check=True, capture_output=True)
    state = folder / "state.txt"
    state.write_text("\n".join(CARDS) + "\n")
    return state


def realm_remove(engine: docker.DockerClient, realm: str) -> None:
    """What the house left on the engine: containers of a failed journey, networks, volumes."""
    for container in engine.containers.list(all=True, filters={"label": f"gpulab.node={realm}"}):
        container.remove(force=True)
    for network in engine.networks.list(filters={"label": f"gpulab.node={realm}"}):
        network.remove()
    for volume in engine.volumes.list():
        if volume.name.startswith(f"gpulab-{realm}-ws-"):
            volume.remove()


@pytest.fixture(scope="module")  # not for the session: its event loop would be in the way of the asynchronous tests
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        message = "needs chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as driver:
        made = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        )
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser profile with one page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def alice(browser: Browser, house: House) -> Iterator[BrowserContext]:
    """Alice's browser, signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    sign_in(context.new_page(), house, "alice")
    yield context
    context.close()


def sign_in(page: Page, house: House, name: str) -> None:
    """By the form, as a person does."""
    page.goto(f"{house.url}/accounts/login/")
    page.locator("input[name=login]").fill(f"{name}@example.edu")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("form[action*=login] button[type=submit], main form button[type=submit]").first.click()
    page.wait_for_url(f"{house.url}/")
