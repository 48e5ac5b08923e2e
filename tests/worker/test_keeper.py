"""The keeper of a process lab copies what the lab prints, whatever becomes of the disk: nobody else empties the pipe."""

import os
import threading
from pathlib import Path

import pytest

from worker.runtimes.process import keeper


def _pumped(path: Path, *pieces: bytes) -> bool:
    """Did the copying come to the end of what was printed?"""
    reader, writer = os.pipe()
    pump = threading.Thread(target=keeper.Log(path).pump, args=(reader,), daemon=True)
    pump.start()
    os.set_blocking(writer, False)
    written = 0
    for piece in pieces:
        left = piece
        for _ in range(2000):
            try:
                left = left[os.write(writer, left) :]
            except BlockingIOError:
                pump.join(0.01)
            if not left or not pump.is_alive():
                break
        written += len(piece) - len(left)
    os.close(writer)
    pump.join(60)
    os.close(reader)
    return written == sum(map(len, pieces)) and not pump.is_alive()


def test_what_a_lab_prints_is_kept_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOG_BYTES", 100_000)
    log = tmp_path / "lab.log"
    assert _pumped(log, b"a" * 300_000, b"the end")
    assert log.read_bytes().endswith(b"the end")
    assert {file.name for file in tmp_path.iterdir()} <= {"lab.log", "lab.log.1"}
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2 * (100_000 + 65_536)


def test_a_full_disk_does_not_stop_a_lab_that_prints() -> None:
    assert _pumped(Path("/dev/full"), b"x" * 500_000)
