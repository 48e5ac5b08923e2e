"""The units for a host without containers of ours, read by systemd itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[2] / "deploy/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
@pytest.mark.skipif(not shutil.which("systemd-analyze") and not os.environ.get("CI"), reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    # Where GPU Lab is installed differs; systemd wants the program to be there.
    text = unit.read_text().replace("/opt/gpulab/.venv/bin/python", sys.executable).replace("/opt/gpulab/deploy/", f"{UNITS[0].parents[1]}/")
    copy = tmp_path / unit.name
    copy.write_text(text)
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert not complaints, complaints


def test_there_is_a_unit_for_a_host_that_joined_and_for_each_part_of_the_house_without_a_container() -> None:
    assert [unit.stem for unit in UNITS] == ["gpulab-node", "gpulab-relay", "gpulab-worker"]
