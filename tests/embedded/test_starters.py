"""A template's files come into a lab of the process runtime as its user's own, by the lab's Jupyter."""

from collections.abc import Callable

import pytest

from tests.embedded.conftest import TOKEN
from tests.embedded.test_process_runtime import lab_up
from worker.jupyter import Jupyter, JupyterFault
from worker.runtimes.base import LabSpec
from worker.runtimes.process.runtime import ProcessRuntime
from worker.shipped import archive


def test_files_are_put_there_by_the_labs_user_and_only_once(runtime: ProcessRuntime, spec_of: Callable[..., LabSpec]) -> None:
    spec = spec_of()
    observed = lab_up(runtime, spec)
    assert observed.jupyter is not None
    jupyter = Jupyter(observed.jupyter, spec.base_url, TOKEN)

    def placed(text: bytes) -> dict[str, object]:
        jupyter.file_put("t.pyz", archive(folder="templates/tour-v1", first="first.ipynb", data=[], files={"first.ipynb": text}))
        jupyter.terminal_open("template1")
        return jupyter.said("template1", " exec python3 -I ~/t.pyz\r", within=60)

    assert placed(b"one") == {"kept": False, "first": True, "missing": []}
    jupyter.terminal_end("template1")
    assert placed(b"two") == {"kept": True, "first": True, "missing": []}
    file = runtime.homes / spec.workspace / "templates/tour-v1/first.ipynb"
    assert file.read_bytes() == b"one"
    assert file.stat().st_uid == file.parents[2].stat().st_uid
    assert not (runtime.homes / spec.workspace / "t.pyz").exists()
    with pytest.raises(JupyterFault):
        Jupyter(observed.jupyter, spec.base_url, "another").file_put("x", b"")
