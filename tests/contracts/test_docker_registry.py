"""Getting images from a real registry on loopback: progress, cancel, another processor, a registry that is away, private ones, a mirror, a file."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image  # noqa: F401  (fixtures)
from tests.contracts.specs import RANGE
from tests.support.registry import PERSON, SECRET, SlowDoor, digest_of, image_put, registry, registry_made  # noqa: F401  (fixture)
from tests.support.registry_copy import copied
from tests.support.waiting import wait_for
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.runtime import DockerRuntime

pytestmark = pytest.mark.engine
#: bcrypt of SECRET, cost 5.
HASHED = "$2a$05$abcdefghijklmnopqrstuu1tSSPHBZA8Mmod2/NQNheW36stwamJq"


@pytest.fixture
def node_of(engine_address: str, tmp_path: Path) -> Callable[..., DockerRuntime]:
    def make(**sources: Any) -> DockerRuntime:
        return DockerRuntime(node_id=NODE, state_dir=tmp_path, network_range=RANGE, images_dir=tmp_path / "none", address=engine_address, **sources)

    return make


@pytest.fixture
def node(node_of: Callable[..., DockerRuntime]) -> DockerRuntime:
    return node_of()


@pytest.fixture
def forget(node: DockerRuntime) -> Iterator[list[str]]:
    """References that the engine shall not keep."""
    names: list[str] = []
    yield names
    for name in names:
        node.image_remove(name)


def quiet(percent: int, words: str) -> None:
    """Told nobody."""


class Cancelled(Exception):
    """What somebody who watches a pull may raise."""


def test_a_pull_tells_layers_and_bytes_and_the_digest_is_the_registrys(node, api, registry, forget):
    reference = f"{registry.address}/lab/one:1"
    digest = image_put(api, reference, megabytes=4)
    forget.append(reference)
    told: list[tuple[int, str]] = []
    node.image_prepare(reference, lambda percent, words: told.append((percent, words)))
    facts = node.image_inspect(reference)
    assert facts is not None
    assert (facts.digest, facts.pulled, facts.architecture, facts.layers) == (digest, True, "amd64", 1)
    assert facts.size >= 4_000_000
    assert told[-1] == (100, "Ready")
    assert any("of 1 layers" in words and words.endswith(" MB") for _, words in told)
    assert node.image_inspect(f"{registry.address}/lab/one@{digest}") == facts


def test_a_pull_is_cancelled_where_it_is_and_begun_again(node, api, registry, forget):
    name = "lab/large:1"
    image_put(api, f"{registry.address}/{name}", megabytes=12)
    door = SlowDoor(to=registry.port, rate=4_000_000)
    reference = f"{door.address}/{name}"
    forget.append(reference)

    def watch(percent: int, words: str) -> None:
        if percent > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        node.image_prepare(reference, watch)
    wait_for(lambda: door.links() == 0, within=60, what="the engine letting the registry go")
    assert door.passed < 11_000_000
    assert node.image_inspect(reference) is None
    door.rate = 10**9
    node.image_prepare(reference, quiet)
    assert node.image_inspect(reference) is not None


def test_a_registry_that_is_away_is_told_in_words_and_the_next_try_brings_it(node, api, tmp_path_factory, forget):
    away = registry_made(tmp_path_factory.mktemp("away"))
    try:
        reference = f"{away.address}/lab/away:1"
        image_put(api, reference)
        away.down()
        with pytest.raises(RuntimeFault) as caught:
            node.image_prepare(reference, quiet)
        assert caught.value.transient
        assert caught.value.words.startswith("The registry does not answer")
        away.up()
        forget.append(reference)
        node.image_prepare(reference, quiet)
        assert node.image_inspect(reference) is not None
    finally:
        away.down()


@pytest.mark.long  # the engine itself tries for 75 s
def test_a_registry_that_goes_away_in_the_middle_is_told_in_words_and_a_second_try_brings_it(node, api, registry, forget):
    name = "lab/lost:1"
    image_put(api, f"{registry.address}/{name}", megabytes=6)
    door = SlowDoor(to=registry.port, rate=3_000_000)

    def watch(percent: int, words: str) -> None:
        if percent > 5:
            door.cut()

    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare(f"{door.address}/{name}", watch)
    assert caught.value.transient
    assert caught.value.words.startswith("The registry does not answer")
    reference = f"{registry.address}/{name}"
    forget.append(reference)
    node.image_prepare(reference, quiet)
    assert node.image_inspect(reference) is not None


def test_an_image_of_another_processor_is_refused_before_a_byte_of_it_comes(node, api, registry):
    reference = f"{registry.address}/lab/arm:1"
    image_put(api, f"{registry.address}/lab/plain:1")
    copied(registry.address, source="lab/plain:1", target="lab/arm:1", architecture="arm64")
    told: list[str] = []
    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare(reference, lambda percent, words: told.append(words))
    assert caught.value.words == "The image is built for arm64; this node is amd64. Choose an image built for amd64."
    assert (caught.value.transient, told) == (False, [])
    assert node.image_inspect(reference) is None


def test_a_tag_that_moved_is_seen_and_the_digest_stays_what_it_was(node, api, registry, forget):
    reference = f"{registry.address}/lab/moved:1"
    first = image_put(api, reference)
    node.image_prepare(reference, quiet)
    forget.append(f"{registry.address}/lab/moved@{first}")
    assert node.image_digest_now(reference) == first
    image_put(api, f"{registry.address}/lab/other:1")
    second = copied(registry.address, source="lab/other:1", target="lab/moved:1")
    assert node.image_digest_now(reference) == second == digest_of(registry.address, "lab/moved", "1")
    assert second != first
    held = node.image_inspect(f"{registry.address}/lab/moved@{first}")
    assert held is not None
    assert held.digest == first


def test_a_private_registry_is_shown_what_the_workers_file_says_and_no_word_of_it_is_told(node_of, api, tmp_path_factory, tmp_path, forget):
    folder = tmp_path_factory.mktemp("private")
    (folder / "htpasswd").write_text(f"{PERSON}:{HASHED}\n")
    private = registry_made(folder, auth=folder / "htpasswd")
    try:
        reference = f"{private.address}/lab/secret:1"
        with pytest.raises(RuntimeFault) as caught:
            node_of().image_prepare(reference, quiet)
        assert "no basic auth credentials" in caught.value.words or "unauthorized" in caught.value.words
        known = base64.b64encode(f"{PERSON}:{SECRET}".encode()).decode()
        file = tmp_path / "config.json"
        file.write_text(json.dumps({"auths": {private.address: {"auth": known}}}))
        image_put(api, reference, login=(PERSON, SECRET))
        node = node_of(credentials=file)
        node.image_prepare(reference, quiet)
        forget.append(reference)
        assert node.image_inspect(reference) is not None
        file.write_text(json.dumps({"auths": {private.address: {"auth": base64.b64encode(b"ada:wrong-word").decode()}}}))
        with pytest.raises(RuntimeFault) as caught:
            node.image_digest_now(reference)
        assert "wrong-word" not in f"{caught.value.words} {caught.value.detail}"
    finally:
        private.down()


def test_a_mirror_is_asked_in_place_of_the_registry_of_the_name(node_of, api, registry, forget):
    reference = f"{registry.address}/hub/pytorch/pytorch:2.9.1"
    digest = image_put(api, reference)
    forget.append(reference)
    node = node_of(mirror=f"{registry.address}/hub")
    node.image_prepare("pytorch/pytorch:2.9.1", quiet)
    facts = node.image_inspect(f"pytorch/pytorch@{digest}")
    assert facts is not None
    assert facts.digest == digest
    assert node._images.held_as("pytorch/pytorch:2.9.1") == reference
    assert node.image_digest_now("pytorch/pytorch:2.9.1") == digest


def test_a_site_without_internet_loads_it_from_a_file(node_of, api, registry, tmp_path, forget):
    reference = f"{registry.address}/lab/saved:1"
    image_put(api, reference)
    node = node_of(tars=tmp_path)
    node.image_prepare(reference, quiet)
    with (tmp_path / "gpulab-test_saved_1.tar").open("wb") as file:
        api.tag(reference, "gpulab-test/saved", "1")
        for piece in api.get_image("gpulab-test/saved:1"):
            file.write(piece)
    api.remove_image("gpulab-test/saved:1", force=True)
    node.image_remove(reference)
    assert node.image_inspect("gpulab-test/saved:1") is None
    node.image_prepare("gpulab-test/saved:1", quiet)
    forget.append("gpulab-test/saved:1")
    facts = node.image_inspect("gpulab-test/saved:1")
    assert facts is not None
    assert not facts.pulled
    assert node.image_digest_now("gpulab-test/saved:1") == ""


def test_an_image_in_use_is_never_removed(node, api, registry):
    reference = f"{registry.address}/lab/used:1"
    digest = image_put(api, reference)
    node.image_prepare(reference, quiet)
    by_digest = f"{registry.address}/lab/used@{digest}"
    made = api.create_container(by_digest, command=["/nothing"])
    try:
        assert not node.image_remove(by_digest)
        assert node.image_inspect(by_digest) is not None
    finally:
        api.remove_container(made["Id"])
    assert node.image_remove(by_digest)
    assert node.image_inspect(by_digest) is None
    assert node.image_remove(by_digest)
