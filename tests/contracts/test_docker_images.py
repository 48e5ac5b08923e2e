"""Images: what is held, what is built from our own folder, and progress in words."""

from pathlib import Path

import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image  # noqa: F401  (fixtures)
from tests.contracts.specs import RANGE
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.images import pulled_digest
from worker.runtimes.docker.names import Sources, split
from worker.runtimes.docker.progress import BuildProgress, PullProgress
from worker.runtimes.docker.runtime import DockerRuntime


@pytest.fixture
def node(engine_address: str, tmp_path: Path) -> DockerRuntime:
    return DockerRuntime(node_id=NODE, state_dir=tmp_path, network_range=RANGE, images_dir=tmp_path / "images", address=engine_address)


def dockerfile(node: DockerRuntime, name: str, text: str) -> None:
    folder = node._images._sources.images_dir / name
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(text)


@pytest.mark.engine
def test_an_image_of_our_own_is_built_with_progress(node, engine_image, api):
    dockerfile(node, "small", f"FROM {engine_image}\nLABEL gpulab.torch=1.2.3\nRUN true\n")
    told: list[tuple[int, str]] = []
    try:
        assert node.image_inspect("gpulab/small:1") is None
        node.image_prepare("gpulab/small:1", lambda percent, words: told.append((percent, words)))
        facts = node.image_inspect("gpulab/small:1")
        assert facts is not None
        assert (facts.pulled, facts.labels["gpulab.torch"], facts.digest[:7]) == (False, "1.2.3", "sha256:")
    finally:
        api.remove_image("gpulab/small:1", force=True)
    assert told[-1] == (100, "Ready")
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert any("step 3 of 3: RUN true" in words for _, words in told)


@pytest.mark.engine
def test_a_build_that_fails_is_told_in_words(node, engine_image):
    dockerfile(node, "broken", f"FROM {engine_image}\nRUN echo what went wrong && exit 3\n")
    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare("gpulab/broken:1", lambda percent, words: None)
    assert "non-zero code: 3" in caught.value.words
    assert "what went wrong" in caught.value.detail
    assert node.image_inspect("gpulab/broken:1") is None


@pytest.mark.engine
def test_a_pull_that_fails_is_told_in_words(node):
    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare("127.0.0.1:1/nobody/nothing:1", lambda percent, words: None)
    assert caught.value.words.startswith("The registry does not answer")


@pytest.mark.engine
def test_a_reference_without_a_tag_is_refused(node):
    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare("example.org/lab", lambda percent, words: None)
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("pytorch/pytorch:2.9.1", ("pytorch/pytorch", "2.9.1")),
        ("localhost:5000/lab", ("localhost:5000/lab", "")),
        ("localhost:5000/lab:3", ("localhost:5000/lab", "3")),
        ("a/b@sha256:00", ("a/b", "sha256:00")),
    ],
)
def test_a_reference_is_split_at_its_tag_or_digest(reference, parts):
    assert split(reference) == parts


def test_only_our_own_references_are_built(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/Dockerfile").touch()
    here = Sources(tmp_path)
    assert here.folder_of("gpulab/lab:1") == tmp_path / "lab"
    for reference in ("gpulab/none:1", "other/lab:1", "gpulab/../lab:1", "gpulab/lab/x:1", "lab:1"):
        assert here.folder_of(reference) is None


def test_a_pulled_image_is_known_by_its_registrys_digest():
    held = ["a/b@sha256:11", "c/d@sha256:22"]
    assert pulled_digest(held, "c/d:tag") == "sha256:22"
    assert pulled_digest(held, "e/f:tag") == ""


def test_a_pull_tells_layers_and_megabytes_and_never_goes_back():
    pull = PullProgress()
    mega = 1_000_000
    lines = [
        {"status": "Pulling from a/b", "id": "tag"},
        {"status": "Pulling fs layer", "id": "one", "progressDetail": {}},
        {"status": "Pulling fs layer", "id": "two", "progressDetail": {}},
        {"status": "Already exists", "id": "three", "progressDetail": {}},
        {"status": "Downloading", "id": "one", "progressDetail": {"current": 10 * mega, "total": 100 * mega}},
        {"status": "Downloading", "id": "two", "progressDetail": {"current": 1 * mega, "total": 900 * mega}},
        {"status": "Download complete", "id": "one", "progressDetail": {}},
        {"status": "Pull complete", "id": "one", "progressDetail": {}},
        {"status": "Downloading", "id": "two", "progressDetail": {"current": 900 * mega, "total": 900 * mega}},
        {"status": "Pull complete", "id": "two", "progressDetail": {}},
        {"status": "Digest: sha256:00"},
    ]
    told = [pull.hear(line) for line in lines]
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert told[0] == (0, "Asking the registry")
    assert told[7][1] == "2 of 3 layers, 101 of 1000 MB"
    assert told[-1] == (99, "3 of 3 layers, 1000 of 1000 MB")
    each = [(one.id, one.done, one.total, one.unpacked) for one in pull.layers()]
    assert each == [("one", 100 * mega, 100 * mega, True), ("two", 900 * mega, 900 * mega, True), ("three", 0, 0, True)]


def test_a_build_tells_the_pull_of_its_base_under_its_own_step():
    build = BuildProgress()
    assert build.hear({"stream": "Step 2/4 : RUN  x   y\n"}) == (25, "Building, step 2 of 4: RUN x y")
    percent, words = build.hear({"status": "Pulling fs layer", "id": "one", "progressDetail": {}})
    assert (percent, words) == (25, "Base image: 0 of 1 layers, 0 of 0 MB")


@pytest.mark.parametrize(
    ("tag", "base", "torch", "cuda"),
    [
        ("2.9.1-cuda12.6", "2.9.1-cuda12.6-cudnn9-runtime", "2.9.1", "12.6"),
        ("2.9.1-cuda13.0-devel", "2.9.1-cuda13.0-cudnn9-devel", "2.9.1", "13.0"),
        ("2.7.1-cuda11.8-r20261121", "2.7.1-cuda11.8-cudnn9-runtime", "2.7.1", "11.8"),
    ],
)
def test_a_tag_of_ours_names_the_base_that_it_is_built_on(tmp_path, tag, base, torch, cuda):
    asked = Sources(tmp_path).build_arguments(f"gpulab/pytorch-cuda:{tag}")
    assert asked == {"BASE": f"pytorch/pytorch:{base}", "TORCH": torch, "CUDA": cuda}
    mirrored = Sources(tmp_path, mirror="registry.example.edu/hub").build_arguments(f"gpulab/pytorch-cuda:{tag}")
    assert mirrored["BASE"] == f"registry.example.edu/hub/pytorch/pytorch:{base}"


def test_a_slim_tag_asks_for_fewer_packages(tmp_path):
    asked = Sources(tmp_path).build_arguments("gpulab/pytorch-cuda:2.9.1-cuda12.8-slim")
    assert (asked["SLIM"], asked["BASE"]) == ("yes", "pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime")


def test_a_tag_that_says_nothing_leaves_the_dockerfile_alone(tmp_path):
    assert Sources(tmp_path).build_arguments("gpulab/lab:one") == {}


def test_everything_but_our_own_comes_by_the_mirror(tmp_path):
    site = Sources(tmp_path, mirror="registry.example.edu/hub")
    assert site.pulled_as("pytorch/pytorch:2.9.1") == "registry.example.edu/hub/pytorch/pytorch:2.9.1"
    for reference in ("registry.example.edu/hub/a/b:1", "gpulab/lab:1", f"sha256:{'0' * 64}"):
        assert site.pulled_as(reference) == reference
