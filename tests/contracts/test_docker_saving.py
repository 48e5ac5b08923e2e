"""A lab saved as an image: what was installed is in the layer, nothing else is, and no token in any layer or setting."""

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.engine import NODE, api, engine_address, engine_image, gateway, inside, make_spec, runtime, tidy  # noqa: F401  (fixtures)
from tests.contracts.specs import Maker
from tests.support.registry import digest_of, layer, registry  # noqa: F401  (fixture)
from tests.support.waiting import wait_for
from tests.support.wheels import FIRST, SECOND, wheel
from worker.loops.making import BUILD, PACK
from worker.runtimes.base import LabSpec, RuntimeFault
from worker.runtimes.makes import Saved, Saving

pytestmark = pytest.mark.engine
TOKEN = "planted-token-5f1c0a9be2"
KEY = "0123456789ab"
MOST = 200 * 1024 * 1024
#: Where people keep secrets, below the workspace and beside what they installed.
PLACES = (
    ".netrc", ".git-credentials", ".pypirc", ".config/pip/pip.conf", ".config/huggingface/token", "nb/.ipynb_checkpoints/a.ipynb",
    "{env}/.netrc", "{env}/pip.conf", "{env}/lib/python3.11/site-packages/.env", "{env}/lib/python3.11/site-packages/notes.txt", "{env}/bin/secret.sh",
)  # fmt: skip


def put(api: Any, spec: LabSpec, path: str, content: bytes) -> None:
    """A file of the person's own, below the workspace."""
    script = "import base64, os, sys; os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True); open(sys.argv[1], 'wb').write(base64.b64decode(sys.argv[2]))"
    code, said = inside(api, spec, "python3", "-c", script, f"/workspace/{path}", __import__("base64").b64encode(content).decode())
    assert code == 0, said


def begin(runtime: Any, api: Any, spec: LabSpec) -> None:
    seen = runtime.start(spec)
    assert seen.running
    wait_for(lambda: inside(api, spec, "test", "-d", folder_of(runtime, spec))[0] == 0, within=60, what="the lab's folder for packages")


def folder_of(runtime: Any, spec: LabSpec) -> str:
    return str(runtime.overlay_folder(spec.image_digest))


def install(runtime: Any, api: Any, spec: LabSpec, *wheels: tuple[str, bytes]) -> None:
    """As a person does: pip install, over the image's packages."""
    for name, content in wheels:
        put(api, spec, f"wheels/{name}-py3-none-any.whl", content)
        base = f"PYTHONUSERBASE={folder_of(runtime, spec)}"
        code, said = inside(
            api, spec, "env", base, "python3", "-m", "pip", "install", "-q", "--user", "--no-index", f"/workspace/wheels/{name}-py3-none-any.whl"
        )
        assert code == 0, said


def saving(runtime: Any, spec: LabSpec, *, base: str, key: str = KEY, most: int = MOST, registry: str = "") -> Saving:
    return Saving(key, base, spec.name, PACK.read_text(), folder_of(runtime, spec), most, registry, {"gpulab.parent": "sha256:0"})


@pytest.fixture(scope="module")
def saver(runtime, api, engine_image, gateway) -> Iterator[LabSpec]:
    """A lab with a package installed and a token in every place where people keep one."""
    maker = Maker(image=engine_image, node_id=NODE, gateway_key=gateway.with_suffix(".pub").read_text(), environment={"MY_TOKEN": TOKEN})
    spec = maker()
    try:
        begin(runtime, api, spec)
        install(runtime, api, spec, ("tinyone-1.0", FIRST))
        below = folder_of(runtime, spec).removeprefix("/workspace/")
        for place in PLACES:
            put(api, spec, place.format(env=below), f"[global]\n# password {TOKEN}\n".encode())
        yield spec
    finally:
        tidy(runtime, api, maker)


@pytest.fixture(scope="module")
def saved(runtime, api, saver, engine_image) -> Iterator[tuple[Saved, list[tuple[int, str]]]]:
    told: list[tuple[int, str]] = []
    made = runtime.image_save(saving(runtime, saver, base=engine_image), lambda percent, words: told.append((percent, words)))
    yield made, told
    api.remove_image(made.digest, force=True)


def run(api: Any, image: str, *command: str) -> str:
    """What a program says in a container of the image; as a stranger, without a network."""
    host = {"NetworkMode": "none", "CapDrop": ["ALL"], "ReadonlyRootfs": True}
    made = api.create_container_from_config(
        {"Image": image, "User": "23456:23456", "Entrypoint": list(command), "Cmd": [], "Env": ["HOME=/tmp"], "HostConfig": host}
    )["Id"]
    try:
        api.start(made)
        code = api.wait(made, timeout=300)["StatusCode"]
        said = api.logs(made).decode()
        assert code == 0, said
        return said.strip()
    finally:
        api.remove_container(made, force=True)


def test_what_was_installed_is_in_the_image_for_everybody_and_its_size_is_told(saved, api):
    made, told = saved
    assert run(api, made.digest, "python3", "-c", "import tinyone; print(tinyone.WHAT)") == "one"
    assert run(api, made.digest, "tinyone") == "program of one"
    assert 0 < made.size_after - made.size_before < 1024 * 1024
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert any(words.startswith("Packing") for _, words in told)


def test_jupyter_itself_goes_without_the_layers_packages(saved, api):
    script = "import importlib.util; print(importlib.util.find_spec('tinyone'))"
    assert run(api, saved[0].digest, "python3", "-s", "-c", script) == "None"


def test_no_planted_token_is_in_what_was_laid_on_the_image_or_in_any_setting(saved, api, engine_image):
    base, made = api.inspect_image(engine_image), api.inspect_image(saved[0].digest)
    below = base["RootFS"]["Layers"]
    assert made["RootFS"]["Layers"][: len(below)] == below
    copied = [step["CreatedBy"] for step in api.history(saved[0].digest)[: -len(api.history(engine_image))] if step["Size"]]
    assert len(copied) == len(made["RootFS"]["Layers"]) - len(below) == 2
    container = api.create_container_from_config({"Image": saved[0].digest, "Entrypoint": ["true"]})["Id"]
    try:
        paths = [f"/opt/lab/made/{KEY}", *(f"{_target(copied[0])}/gpulab_made.{kind}" for kind in ("pth", "py"))]
        found = [_archive(api, container, path) for path in paths]
    finally:
        api.remove_container(container, force=True)
    assert f"/opt/lab/made/{KEY}/" in copied[1]
    assert b"program of one" in found[0]
    assert all(TOKEN.encode() not in content for content in found)
    assert TOKEN not in json.dumps(made) + json.dumps(api.history(saved[0].digest))


def _archive(api: Any, container: str, path: str) -> bytes:
    return b"".join(api.get_archive(container, path)[0])


def _target(step: str) -> str:
    """Where a COPY of the history went."""
    return next(part for part in step.split() if part.endswith(("-packages/", "-packages")))


@pytest.mark.long
def test_no_planted_token_is_in_the_exported_image(saved, api):
    exported = b"".join(api.get_image(saved[0].digest))
    layers = 0
    with tarfile.open(fileobj=io.BytesIO(exported)) as whole:
        for member in whole:
            content = whole.extractfile(member)
            if content is not None:
                assert TOKEN.encode() not in content.read(), member.name
                layers += member.name.endswith("layer.tar") or member.name.startswith("blobs/")
    assert layers > 1
    assert b"tinyone" in exported


def test_a_lab_of_a_saved_image_is_saved_again_with_both_layers_the_newer_first(saved, runtime, api, make_spec):
    spec = make_spec(image=saved[0].digest, image_digest=saved[0].digest)
    begin(runtime, api, spec)
    newer = wheel("tinyone", "1.1", "WHAT = 'newer'\ndef main(): pass\n")
    install(runtime, api, spec, ("tinytwo-2.0", SECOND), ("tinyone-1.1", newer))
    again = runtime.image_save(saving(runtime, spec, base=saved[0].digest, key="ba9876543210"), lambda percent, words: None)
    try:
        assert run(api, again.digest, "python3", "-c", "import tinyone, tinytwo; print(tinyone.WHAT, tinytwo.WHAT)") == "newer two"
        assert api.inspect_image(again.digest)["Config"]["Labels"]["gpulab.made"] == f"ba9876543210,{KEY}"
    finally:
        api.remove_image(again.digest, force=True)


def test_twice_the_same_is_one_image(saved, runtime, api, saver, engine_image):
    again = runtime.image_save(saving(runtime, saver, base=engine_image), lambda percent, words: None)
    assert again.digest == saved[0].digest


def test_what_is_larger_than_it_may_be_is_refused_in_words(runtime, saver, engine_image):
    with pytest.raises(RuntimeFault, match="there is room for 0 MiB"):
        runtime.image_save(saving(runtime, saver, base=engine_image, key="aaaaaaaaaaaa", most=100), lambda percent, words: None)


def test_a_lab_with_nothing_installed_is_told_so(runtime, api, make_spec, engine_image):
    spec = make_spec()
    begin(runtime, api, spec)
    with pytest.raises(RuntimeFault, match="Nothing was installed"):
        runtime.image_save(saving(runtime, spec, base=engine_image, key="aaaaaaaaaaab"), lambda percent, words: None)


def test_a_cancel_in_the_middle_leaves_no_image(runtime, api, saver, engine_image):
    class Cancelled(Exception):
        pass

    def cancel(percent: int, words: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        runtime.image_save(saving(runtime, saver, base=engine_image, key="cccccccccccc"), cancel)
    assert not api.images(name="gpulab/made:cccccccccccc")


def test_the_sites_registry_is_handed_an_image_and_tells_its_digest(runtime, api, registry):
    api.import_image_from_data(layer(1), repository="gpulab/made", tag="dddddddddddd")
    repository, digest = runtime._images.pushed("gpulab/made:dddddddddddd", f"{registry.address}/gpulab-made/dddddddddddd")
    try:
        assert digest == digest_of(registry.address, "gpulab-made/dddddddddddd", "1")
        facts = runtime.image_inspect(f"{repository}@{digest}")
        assert facts is not None
        assert (facts.digest, facts.pulled) == (digest, True)
    finally:
        api.remove_image("gpulab/made:dddddddddddd", force=True)
        api.remove_image(f"{repository}:1", force=True)


def test_where_the_registry_is_away_the_image_stays_on_its_node_with_that_reason(runtime, api, saver, engine_image):
    away = runtime.image_save(saving(runtime, saver, base=engine_image, key="eeeeeeeeeeee", registry="127.0.0.1:1"), lambda percent, words: None)
    api.remove_image(away.digest, force=True)
    assert not away.pulled
    assert "stays on this node alone, because the registry did not take it" in away.words


def test_a_list_of_packages_is_installed_in_a_lab_and_pips_words_are_heard(runtime, api, saver, engine_image):
    heard: list[str] = []
    folder = "/workspace/.gpulab/making/ffffffffffff"
    text = "--no-index\n--find-links /workspace/wheels\ntinyone==1.0\n"
    assert runtime.run_heard(saver.name, BUILD.read_text(), [folder, str(MOST), "120", text], heard.append) == 0
    assert "Successfully installed tinyone-1.0" in "".join(heard)
    heard.clear()
    assert runtime.run_heard(saver.name, BUILD.read_text(), [folder, str(MOST), "120", "--no-index\nnothere==1\n"], heard.append) == 1
    assert "No matching distribution found for nothere==1" in "".join(heard)
    assert inside(api, saver, "test", "-e", folder)[0] != 0


def test_a_build_has_an_end_in_time_and_in_size(runtime, api, saver):
    slow = wheel("tinyslow", "1.0", "")
    put(api, saver, "wheels/tinyslow-1.0-py3-none-any.whl", slow)
    text = "--no-index\n--find-links /workspace/wheels\ntinyslow\n"
    assert runtime.run_heard(saver.name, BUILD.read_text(), ["/workspace/.gpulab/making/a1", str(MOST), "0", text], lambda said: None) == 5
    assert runtime.run_heard(saver.name, BUILD.read_text(), ["/workspace/.gpulab/making/a2", "1", "60", text], lambda said: None) == 4


def test_a_dockerfile_is_built_and_each_line_is_heard(runtime, api, engine_image):
    heard: list[str] = []
    made = runtime.image_build("111111111111", f"FROM {engine_image}\nUSER root\nRUN echo heard it\n", heard.append)
    api.remove_image(made.digest, force=True)
    assert "heard it" in "".join(heard)
    with pytest.raises(RuntimeFault, match="non-zero code: 3"):
        runtime.image_build("222222222222", f"FROM {engine_image}\nRUN exit 3\n", heard.append)
