"""Limits that a file system keeps, on a real kernel's XFS and ext4: this machine's own kernel may know no quotas, so one is started for the tests."""

import sys

import pytest

from tests.support.kernel import kernel_needed, kernel_run

IN_IT = ("tests/contracts/in_kernel_quotas.py",)


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_xfs_and_ext4_of_a_real_kernel_keep_the_promises_of_quotas() -> None:
    kernel_needed()
    said = kernel_run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *IN_IT, within_s=900)
    assert said.status == 0, said.text[-6000:]
    assert " passed" in said.text
