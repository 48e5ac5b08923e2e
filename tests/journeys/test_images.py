"""Images that people make, through the whole house: saved and launched, built from a list, and one that fails its trial starts no lab."""

import base64
import re
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from tests.journeys.test_engine import ask, stop
from tests.support.product import PASSWORD, House
from tests.support.waiting import wait_for
from tests.support.wheels import FIRST, SECOND

pytestmark = pytest.mark.engine
#: Starts, and cannot compute: its torch is broken.
SPOILT = "import torch, pathlib; pathlib.Path(torch.__file__).write_text('raise ImportError(\\'broken on purpose\\')')"
BROKEN = f'FROM {{image}}\nUSER root\nRUN python3 -c "{SPOILT}"\nUSER 1000:1000\n'
ROOT = (
    "from django.utils.timezone import now\nfrom labs.people.models import User\nfrom labs.people.services import person_create\n"
    "admin = User.objects.filter(role='administrator').first()\n"
    f"person_create(email='curator@example.edu', display_name='Curator', role='administrator', group=None, actor=admin, now=now(), password={PASSWORD!r})\n"
)


class Door:
    """Pages, as a browser without scripts has them."""

    def __init__(self, house: House, name: str) -> None:
        self.client = httpx.Client(base_url=house.url, timeout=60)
        self.post("/accounts/login/", login=f"{name}@example.edu", password=PASSWORD)

    def post(self, path: str, /, **fields: Any) -> str:
        """Post a form; where it leads to."""
        shown = self.client.get("/accounts/login/", follow_redirects=True).text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown)
        assert found is not None, shown[-500:]
        answer = self.client.post(path, data=fields | {"csrfmiddlewaretoken": found[1]}, headers={"Referer": str(self.client.base_url)})
        assert answer.status_code == 302, (answer.status_code, re.findall(r'(?s)role="alert">(.*?)</div>', answer.text), answer.text[-1500:])
        return answer.headers["Location"]

    def text(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, path
        return answer.text

    def made(self, place: str, within: float = 180) -> str:
        """Follow one in the making to its end; its page then."""

        def ended() -> str:
            text = self.text(f"{place}state/")
            assert not any(words in text for words in ("Failed", "Cancelled")), text
            return text if "Ready" in text else ""

        return wait_for(ended, within=within, what=f"the image at {place}")


@pytest.fixture(scope="module")
def alice_door(house: House) -> Door:
    return Door(house, "alice")


@pytest.fixture(scope="module")
def lab(house: House, engine: docker.DockerClient) -> Iterator[Any]:
    """Alice's lab, with a package installed and two wheels in a folder of hers; its container."""
    lab = house.lab_until("alice", ask(house, "alice").json()["id"], "running", within=120)
    container = engine.containers.get(f"gpulab-{lab['id']}-1")
    for name, content in (("tinyone-1.0", FIRST), ("tinytwo-2.0", SECOND)):
        run(container, "import base64, os, sys; os.makedirs('/workspace/wheels', exist_ok=True); open(sys.argv[1], 'wb').write(base64.b64decode(sys.argv[2]))",
            f"/workspace/wheels/{name}-py3-none-any.whl", base64.b64encode(content).decode())  # fmt: skip
    run(container, "import subprocess; subprocess.run(['bash', '-lc', 'pip install -q --user --no-index /workspace/wheels/tinyone*'], check=True)")
    yield container
    stop(house, "alice", lab["id"])


def run(container: Any, script: str, *arguments: str) -> str:
    """In the lab, as its user, with its own environment."""
    code, said = container.exec_run(["bash", "-lc", 'exec python3 -c "$@"', "-", script, *arguments], environment={"HOME": "/workspace"})
    assert code == 0, said.decode()
    return said.decode().strip()


def image_named(house: House, person: str, title: str) -> int | None:
    with house.api(person) as client:
        return next((one["id"] for one in client.get("/images").json()["items"] if one["title"] == title), None)


def test_a_saved_lab_is_launched_shared_and_deleted(house, lab, alice_door, engine):
    name = f"Saved {uuid.uuid4().hex[:6]}"
    text = alice_door.made(alice_door.post(f"/labs/{lab.name.split('-')[1]}/save/", name=name, note=""))
    assert "Before" in text and "After" in text
    number = image_named(house, "alice", name)
    assert number is not None
    assert image_named(house, "bob", name) is None
    team = re.search(r'name="groups" value="(\d+)"', alice_door.text("/images/own/"))
    assert team is not None
    alice_door.post(f"/images/own/{number}/share/", groups=team[1])
    assert image_named(house, "bob", name) == number
    assert image_named(house, "charlie", name) is None
    second = house.lab_until("bob", ask(house, "bob", image=number).json()["id"], "running", within=120)
    assert run(engine.containers.get(f"gpulab-{second['id']}-1"), "import tinyone; print(tinyone.WHAT)") == "one"
    stop(house, "bob", second["id"])
    alice_door.post(f"/images/own/{number}/delete/")
    assert image_named(house, "bob", name) is None


def test_a_list_of_packages_is_built_in_a_lab_and_its_log_is_told(house, lab, alice_door):
    name = f"Built {uuid.uuid4().hex[:6]}"
    with house.api("alice") as client:
        base = client.get("/images").json()["items"][0]["id"]
    listed = "--no-index\r\n--find-links /workspace/wheels\r\ntinytwo==2.0\r\n"
    text = alice_door.made(alice_door.post("/images/own/", name=name, note="", base=base, requirements=listed, environment=""))
    assert "Successfully installed tinytwo-2.0" in text
    number = image_named(house, "alice", name)
    assert number is not None
    wait_for(lambda: "tinytwo" in alice_door.text(f"/images/{number}/packages/"), within=90, what="its packages")
    bill = alice_door.client.get(f"/images/{number}/packages.cdx.json").json()
    assert "pkg:pypi/tinytwo@2.0" in {one["purl"] for one in bill["components"]}
    alice_door.post(f"/images/own/{number}/delete/")


@pytest.fixture(scope="module")
def curator(house: House) -> Door:
    house.manage("shell", "--no-imports", typed=ROOT)
    return Door(house, "curator")


def test_an_image_that_fails_its_trial_starts_no_lab_and_says_why(house, engine, curator):
    title, node = f"Broken {uuid.uuid4().hex[:6]}", house.environment["GPULAB_NODE"]
    curator.made(curator.post("/manage/images/dockerfile/", name=title, node=node, text=BROKEN.format(image=house.environment["GPULAB_LAB_IMAGE"])))
    number = image_named(house, "alice", title)
    assert number is not None
    curator.post(f"/manage/images/{number}/try/", card="CPU")
    wait_for(lambda: "broken on purpose" in curator.text(f"/manage/images/{number}/"), within=120, what="the report")
    wait_for(lambda: "Failed" in curator.text("/images/"), within=30, what="the verdict")
    answer = ask(house, "alice", image=number)
    assert answer.status_code == 422, answer.text
    assert "does not compute here" in answer.text
    assert "broken on purpose" in answer.text


@pytest.mark.long
def test_the_house_image_passes_its_trial_on_the_cpu(house, curator):
    with house.api("alice") as client:
        number = next(one["id"] for one in client.get("/images").json()["items"] if one["title"].startswith("PyTorch"))
    curator.post(f"/manage/images/{number}/try/", card="CPU")
    wait_for(lambda: "Verified" in curator.text(f"/manage/images/{number}/"), within=600, what="the verdict")
    assert ask(house, "bob", image=number).status_code == 201
