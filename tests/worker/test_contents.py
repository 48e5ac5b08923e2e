"""How a lab's Jupyter writes a file, without Jupyter: with it, tests/embedded/test_full_workspace.py."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class Manager:
    """What of Jupyter's own the writing needs."""

    @contextmanager
    def perm_to_403(self, path: str) -> Iterator[None]:
        yield


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with stand-ins for what is in labs' images only."""
    for name, what in (("jupyter_server.services.contents.largefilemanager", {"AsyncLargeFileManager": Manager}), ("tornado.web", {"HTTPError": Exception})):
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:count]), ModuleType(parts[count - 1]))
        vars(sys.modules[name]).update(what)
    monkeypatch.delitem(sys.modules, "worker.runtimes.contents", raising=False)
    yield import_module("worker.runtimes.contents")
    sys.modules.pop("worker.runtimes.contents", None)


def test_two_saves_of_one_notebook_at_once_are_each_whole_and_the_last_one_stays(contents: Any, tmp_path: Path) -> None:
    book = tmp_path / "night.ipynb"
    with contents.Contents().atomic_writing(str(book)) as second:
        second.write("the second, ")
        with contents.Contents().atomic_writing(str(book)) as first:
            first.write("the first")
        assert book.read_text() == "the first"
        second.write("whole")
    assert book.read_text() == "the second, whole"
    assert list(tmp_path.iterdir()) == [book]


def test_a_file_of_the_longest_name_is_written(contents: Any, tmp_path: Path) -> None:
    book = tmp_path / f"{'n' * 249}.ipynb"
    with contents.Contents().atomic_writing(str(book)) as file:
        file.write("{}")
    assert book.read_text() == "{}"
