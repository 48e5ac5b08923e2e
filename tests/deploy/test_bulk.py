"""Bodies as large as they come and streams that do not end, by the whole way of production: nothing on it keeps what it carries."""

import os
from pathlib import Path

import pytest

from benchmarks.doors_bulk import bulk_measure
from tests.deploy.nginx import binary

pytestmark = pytest.mark.skipif(not binary() and not os.environ.get("CI"), reason="needs nginx")
#: Buffers breathe; a door that keeps what it carries grows by all of it.
BREATH_MIB = 40


@pytest.mark.parametrize("mib", [100, pytest.param(5120, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_a_large_body_passes_both_ways_and_an_event_at_once_with_flat_memory(tmp_path: Path, mib: int) -> None:
    found = bulk_measure(folder=tmp_path, mib=mib, count=300, within_s=140 if mib < 1024 else 1700)
    assert set(found.grew_mib) == {"nginx", "relay"} and max(found.grew_mib.values()) < BREATH_MIB, found
    assert found.events_p50_ms["nginx + relay"] < 1000, found  # the lab sends them for 3 s: held back, half would come 1.5 s late
