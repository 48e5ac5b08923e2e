"""What a person sees in Jupyter at a limit that the file system keeps: a real kernel's XFS and ext4, and JupyterLab's own server."""

import sys
from pathlib import Path

import pytest

from tests.support.kernel import kernel_needed, kernel_run

IN_IT = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600", "tests/embedded/in_kernel_jupyter.py")


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_jupyter_says_in_words_that_a_limit_of_xfs_or_ext4_is_reached(envs: Path) -> None:
    kernel_needed()
    said = kernel_run("env", f"GPULAB_ENVS={envs}", *IN_IT, within_s=1400)
    assert said.status == 0, said.text[-6000:]
    assert " passed" in said.text
