"""What is believed of a lab that tells what was installed in it: plain files, so many, and no endless talk."""

import io
import tarfile
from typing import Any

import pytest

from worker.runtimes.base import RuntimeFault
from worker.runtimes.docker import layers
from worker.runtimes.makes import Saving

SAVING = Saving("0" * 12, "base", "gpulab-lab-1", "script", "/workspace", most_bytes=1000)


class _Engine:
    """An engine whose lab says these pieces: of its tar, and beside it."""

    def __init__(self, pieces: list[tuple[bytes | None, bytes | None]]) -> None:
        self.pieces = pieces

    def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
        return {"Id": "1"}

    def exec_start(self, *_: Any, **__: Any) -> Any:
        return (piece for piece in self.pieces)

    def exec_inspect(self, _: str) -> dict[str, int]:
        return {"ExitCode": 0}


def _tar(names: list[str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return made.getvalue()


def _copied(names: list[str]) -> list[str]:
    """The names in what was made of them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w|") as archive:
        layers._copy(layers._Pack(_Engine([(_tar(names), None)]), SAVING), archive, SAVING, lambda *_: None)
    with tarfile.open(fileobj=io.BytesIO(made.getvalue())) as archive:
        return archive.getnames()


def test_files_of_no_bytes_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST_FILES", 3)
    _copied([f"lib/{number}" for number in range(3)])
    with pytest.raises(RuntimeFault, match="more than 3 files"):
        _copied([f"lib/{number}" for number in range(4)])


@pytest.mark.parametrize("name", ["/etc/passwd", "lib/../../etc/passwd", "usr/bin/x", "lib"])
def test_a_name_that_leads_elsewhere_is_not_understood(name: str) -> None:
    with pytest.raises(RuntimeFault) as refused:
        _copied([name])
    assert "not understood" in refused.value.words


def test_how_much_there_is_may_be_said_late_and_progress_never_goes_back() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number in range(4):
            about = tarfile.TarInfo(f"lib/{number}")
            about.size = 100
            archive.addfile(about, io.BytesIO(bytes(100)))
    tar, told = made.getvalue(), []
    pieces = [(tar[:1024], None), (None, b'{"bytes": 400}\n'), *((tar[at : at + 512], None) for at in range(1024, len(tar), 512))]
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as archive:
        layers._copy(layers._Pack(_Engine(pieces), SAVING), archive, SAVING, lambda *said: told.append(said))
    assert told[0] == (0, "Packing what was installed: 0 MiB")
    assert [percent for percent, _ in told] == [0, 35, 52, 70]


def test_of_endless_words_the_beginning_and_the_end_are_kept() -> None:
    said = [(None, b'{"bytes": 7}\n'), *[(None, b"x" * 100_000)] * 50, (b"tar", None), (None, b"the end")]
    pack = layers._Pack(_Engine(said), SAVING)
    assert pack.read(3) == b"tar"
    pack.seen = 1
    assert pack.said() == {"left_out": [], "bytes": 7}
    assert (len(pack._words) <= layers.MOST_SAID, pack._words.endswith(b"the end")) == (True, True)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME], ids=["pax", "global", "long-name"])
def test_a_heading_of_any_length_takes_no_memory(kind: bytes) -> None:
    head = tarfile.TarInfo("lib/x")
    head.type, head.size = kind, 1024**3
    read = 0

    def pieces() -> Any:
        nonlocal read
        yield head.tobuf(), None
        for _ in range(200):
            read += 1
            yield b"x" * layers.PIECE, None

    engine = _Engine([])
    engine.exec_start = lambda *_, **__: pieces()  # type: ignore[method-assign]
    with pytest.raises(RuntimeFault), tarfile.open(fileobj=io.BytesIO(), mode="w|") as archive:
        layers._copy(layers._Pack(engine, SAVING), archive, SAVING, lambda *_: None)
    assert read < 8


def test_a_name_of_some_length_is_taken() -> None:
    long = "lib/" + "x" * 3000
    assert any(name.endswith(long) for name in _copied([long]))
