"""The file system in memory keeps the promises of real ones."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contracts.quota_contract import QuotaContract, test_a_number_is_the_persons_own_and_counts_down  # noqa: F401
from worker.quotas.fake import FakeQuotas


@dataclass
class FakeDisk:
    """Folders that nobody makes."""

    root: Path
    quotas: FakeQuotas = field(default_factory=FakeQuotas)

    def folder(self, name: str) -> Path:
        return self.root / name

    def write(self, file: Path, size: int) -> None:
        self.quotas.write(file, size)

    def remove(self, file: Path) -> None:
        self.quotas.remove(file)


@pytest.fixture
def disk(tmp_path: Path) -> FakeDisk:
    return FakeDisk(tmp_path)


class TestFakeQuotas(QuotaContract):
    """All promises."""
