"""NFS on a real kernel: its server, its client and the engine between them. This machine's own kernel may know none, so one is started for the tests."""

import sys

import pytest

from tests.support.kernel import NFS_MODULES, NFS_PACKAGES, kernel_needed, kernel_run

IN_IT = ("tests/contracts/in_kernel_nfs.py",)


@pytest.mark.long
@pytest.mark.timeout(1600)
def test_data_sets_and_workspaces_of_a_real_nfs_server_keep_the_promises_of_volumes() -> None:
    kernel_needed(NFS_PACKAGES)
    said = kernel_run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600", *IN_IT, within_s=1500, loaded=NFS_MODULES)
    assert said.status == 0, said.text[-6000:]
    assert " passed" in said.text
