"""The stand-in library, compiled, and a process that reads it by the real pynvml."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Driver:
    """A stand-in driver, whose state a test writes, and the process that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.txt"
        self.process: subprocess.Popen[str] | None = None

    def says(self, *lines: str) -> None:
        """Set the state, whole and at once."""
        new = self.folder / "state.new"
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.state)

    def read(self) -> dict[str, Any]:
        """One reading: {"reading"} or {"fault"}, and "seconds"."""
        return self.ask("read")

    def ask(self, line: str) -> dict[str, Any]:
        """Send one line, await one answer."""
        process = self.process or self.start()
        assert process.stdin and process.stdout
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return dict(json.loads(process.stdout.readline()))

    def start(self, open_within_s: float = 10) -> "subprocess.Popen[str]":
        """Start the reading process."""
        environment = os.environ | {"LD_LIBRARY_PATH": str(self.folder), "NVML_STATE": str(self.state)}
        command = [sys.executable, "-m", "tests.nvml.reader", str(open_within_s)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self.process

    def end(self) -> None:
        """End the reading process."""
        if self.process:
            self.process.kill()
            self.process.communicate()


def library_make(library: Path, source: Path, *options: str) -> None:
    """Compile one of the stand-ins."""
    if shutil.which("gcc") is None:
        message = "needs gcc"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-stringop-truncation", f"-Wl,-soname,{library.name}", *options]
    subprocess.run([*command, "-o", str(library), str(source), "-ldl"], check=True, capture_output=True, text=True)


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Compile the stand-in: `compiled("-DWITHOUT_ECC")` -> the folder that holds it."""

    def build(*options: str) -> Path:
        library_make(tmp_path / "libnvidia-ml.so.1", HERE / "stand_in.c", *options)
        return tmp_path

    return build


@pytest.fixture
def driver(compiled: Callable[..., Path]) -> Iterator[Driver]:
    """The stand-in driver with nothing in it yet."""
    made = Driver(compiled())
    yield made
    made.end()


@pytest.fixture
def old_driver(compiled: Callable[..., Path]) -> Iterator[Driver]:
    """A driver that lacks a function."""
    made = Driver(compiled("-DWITHOUT_ECC"))
    yield made
    made.end()
