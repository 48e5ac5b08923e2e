"""A disk that fills in the middle of a pull: an engine of its own on a small file system."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.contracts.engine import NODE, engine_address  # noqa: F401  (fixture)
from tests.contracts.specs import RANGE
from tests.support.registry import Registry, image_put, registry  # noqa: F401  (fixture)
from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker.runtime import DockerRuntime

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]
ENGINE = Path(__file__).resolve().parents[1] / "engine" / "engine.sh"
DISK_MB = 64


@pytest.fixture
def small_engine() -> Iterator[str]:
    """An engine whose data are on 64 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))  # short: it holds a socket
    disk, mounted = folder / "disk", folder / "m"
    mounted.mkdir()
    disk.write_bytes(b"")
    os.truncate(disk, DISK_MB * 1_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", disk, mounted], check=True)
    try:
        yield subprocess.run([ENGINE, "up", mounted], check=True, capture_output=True, text=True, timeout=120).stdout.strip()
    finally:
        subprocess.run([ENGINE, "down", mounted], check=False, capture_output=True, timeout=120)
        subprocess.run(["umount", "-l", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_disk_that_fills_in_the_middle_is_told_in_words_and_the_engine_lives_on(small_engine: str, engine_address: str, registry: Registry, tmp_path: Path):
    shared = docker.APIClient(base_url=engine_address, version="auto", timeout=60)
    large, small = f"{registry.address}/lab/toolarge:1", f"{registry.address}/lab/small:1"
    image_put(shared, large, megabytes=50)
    image_put(shared, small)
    shared.close()
    node = DockerRuntime(node_id=NODE, state_dir=tmp_path, network_range=RANGE, images_dir=tmp_path, address=small_engine)
    with pytest.raises(RuntimeFault) as caught:
        node.image_prepare(large, lambda percent, words: None)
    assert caught.value.words.startswith("The disk of the node's images is full")
    assert caught.value.transient
    assert node.image_inspect(large) is None
    node.image_prepare(small, lambda percent, words: None)
    assert node.image_inspect(small) is not None
