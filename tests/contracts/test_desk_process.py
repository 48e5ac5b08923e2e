"""File pages as processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.desk_contract import DeskContract
from tests.contracts.specs import Maker
from tests.embedded.conftest import IMAGE, envs  # noqa: F401  (fixture)
from worker.runtimes.process.runtime import ProcessRuntime

pytestmark = pytest.mark.timeout(600)  # the first one may have to build the environment


class TestProcess(DeskContract):
    """On folders of its own."""

    @pytest.fixture
    def runtime(self, tmp_path: Path, envs: Path) -> Iterator[ProcessRuntime]:
        made = ProcessRuntime(home=tmp_path / "home", envs=envs, node_id="n1")
        yield made
        for lab in made.observe():
            made.stop(lab.name, 2.0)

    @pytest.fixture
    def make_spec(self) -> Maker:
        return Maker(image=IMAGE, node_id="n1")
