"""The node's models in front of what each person writes, as an overlay that the real engine mounts."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image, gateway, inside, make_spec, runtime  # noqa: F401  (fixtures)
from worker.runtimes.base import LabSpec
from worker.runtimes.docker.models import Models
from worker.runtimes.mounts import MODELS, MODELS_AT, Mount, own_name

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root reaches the engine's volumes"),
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Models of the house, one of each tool."""
    folder = tmp_path / "models"
    for name in ("hub/models--bert/blobs", "torch/hub/checkpoints"):
        (folder / name).mkdir(parents=True)
    (folder / "hub/models--bert/blobs/weights").write_text("shared\n")
    (folder / "torch/hub/checkpoints/resnet.pth").write_text("resnet\n")
    for one in (tmp_path, folder, *folder.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
    return folder


@pytest.fixture
def models(api: Any, runtime: Any, make_spec: Any, shared: Path):
    """`models(7)`: the spec of a lab of person 7, who sees them."""
    names: set[str] = set()
    made: list[LabSpec] = []

    def make(person: int) -> LabSpec:
        mount = Mount(MODELS_AT, MODELS, f"gpulab-{NODE}-models-{person}", below=str(shared))
        names.update((mount.source, own_name(mount.source)))
        made.append(make_spec(mounts=(mount,), uid=20_000 + person, gid=20_000 + person))
        return made[-1]

    yield make
    for spec in made:
        runtime.stop(spec.name, 0)
    for name in names:
        try:
            api.remove_volume(name)
        except docker.errors.APIError:
            continue


def _sh(api: Any, spec: LabSpec, script: str) -> tuple[int, str]:
    return inside(api, spec, "sh", "-c", script)


def _files(folder: Path) -> dict[str, str]:
    return {str(one.relative_to(folder)): one.read_text() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_each_sees_one_writable_tree_and_nobody_what_another_wrote(runtime: Any, models: Callable[[int], LabSpec], api: Any, shared: Path) -> None:
    before = _files(shared)
    alice, bob = models(71), models(72)
    for spec in (alice, bob):
        runtime.start(spec)
        verification = runtime.verify(spec)
        assert (verification.differences, verification.not_held, verification.found["folders"]) == ([], [], "/models rw")
    script = (
        'cd "$HF_HUB_CACHE" && mkdir -p models--mine .locks && echo mine > models--mine/weights && head -c 3000000 /dev/zero > models--mine/large'
        ' && echo better > new && mv new models--bert/blobs/weights && rm "$TORCH_HOME/hub/checkpoints/resnet.pth" && cat models--bert/blobs/weights'
    )
    assert _sh(api, alice, script) == (0, "better\n")
    assert _sh(api, bob, "cd /models; cat hub/models--bert/blobs/weights torch/hub/checkpoints/resnet.pth; ls -A hub") == (0, "shared\nresnet\nmodels--bert\n")
    assert _files(shared) == before
    runtime.stop(alice.name, 0)
    again = models(71)
    runtime.start(again)
    assert _sh(api, again, "cd /models; cat hub/models--bert/blobs/weights hub/models--mine/weights; ls torch/hub/checkpoints") == (0, "better\nmine\n")
    measured = runtime.workspace_measure(own_name(again.mounts[0].source), 60)
    assert measured.size >= 3_000_000
    assert runtime.workspace_measure(own_name(bob.mounts[0].source), 60).size < 1_000_000


def test_two_labs_of_one_person_share_what_they_wrote(runtime: Any, models: Callable[[int], LabSpec], api: Any) -> None:
    one, two = models(73), models(73)
    for spec in (one, two):
        runtime.start(spec)
    assert _sh(api, one, "echo mine > /models/hub/mine")[0] == 0
    assert _sh(api, two, "cat /models/hub/mine") == (0, "mine\n")


def test_new_models_are_seen_at_the_next_start_and_a_link_in_the_place_of_a_folder_leads_the_worker_nowhere(
    runtime: Any, models: Callable[[int], LabSpec], api: Any, shared: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    first = models(74)
    runtime.start(first)
    assert _sh(api, first, f"rm -r /models/torch && ln -s {victim} /models/torch && rm -r /models/hub/models--bert && mkdir /models/hub/models--bert")[0] == 0
    runtime.stop(first.name, 0)
    (shared / "hub/models--gpt").mkdir()
    (shared / "hub/models--gpt/weights").write_text("gpt\n")
    second = models(74)
    runtime.start(second)
    assert _sh(api, second, "cd /models/hub; cat models--gpt/weights; touch models--gpt/mine; ls models--bert") == (0, "gpt\n")
    assert list(victim.iterdir()) == []


def test_where_the_engine_mounts_no_overlay_the_lab_starts_with_models_to_read_and_says_so(
    runtime: Any, models: Callable[[int], LabSpec], api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overlay over an overlay: a file system that takes none above."""
    spec = models(75)
    own = Path(api.create_volume(own_name(spec.mounts[0].source), labels={"gpulab.node": NODE, "gpulab.volume": MODELS})["Mountpoint"])
    layers = [own.with_name(name) for name in ("low", "high", "work")]
    for layer in layers:
        layer.mkdir()
    options = "lowerdir={},upperdir={},workdir={}".format(*layers)
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", own], check=True)
    monkeypatch.setattr(runtime, "_models", Models())
    try:
        runtime.start(spec)
        verification = runtime.verify(spec)
        assert verification.differences == []
        assert verification.found["folders"] == "/models ro"
        [words] = verification.not_held
        assert "/models can only be read here" in words
        assert _sh(api, spec, "cat /models/hub/models--bert/blobs/weights; echo ${HF_HUB_CACHE-unset}") == (0, "shared\nunset\n")
        assert "Read-only" in _sh(api, spec, "touch /models/x")[1]
    finally:
        runtime.stop(spec.name, 0)
        subprocess.run(["umount", own], check=True)


def test_a_folder_whose_name_is_an_option_of_a_mount_reaches_no_engine(runtime: Any, models: Callable[[int], LabSpec]) -> None:
    spec = models(76)
    for below in ("/srv/a,upperdir=/etc", "/srv/a:/etc", "/srv/../etc", "/"):
        with pytest.raises(Exception, match="not valid"):
            runtime.start(replace(spec, mounts=(replace(spec.mounts[0], below=below),)))
