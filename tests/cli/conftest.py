"""A portal that answers over a real socket, and the program as a process of its own beside it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labs.people.models import User
from labs.people.services import token_create

SOURCE = Path(__file__).resolve().parents[2] / "portal/cli"


@dataclass
class Program:
    """`gpulab` with a home of its own; `source` lies on its path under the name that the wheel gives it."""

    home: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        """Run it; what it printed."""
        ran = subprocess.run(self.command(*arguments), env=self.environ(), capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == expect, f"{ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout if expect == 0 else ran.stdout + ran.stderr

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """The document that it printed."""
        return json.loads(self(*arguments, "--json", expect=expect))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gpulab", *arguments]

    def environ(self) -> dict[str, str]:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("GPULAB_", "XDG_"))}
        return bare | {"PYTHONPATH": str(self.home / "path"), "HOME": str(self.home), "COLUMNS": "160"} | self.environment


@pytest.fixture
def program(tmp_path: Path, live_server: Any, settings: Any) -> Program:
    """The program of nobody in particular."""
    settings.PORTAL_URL = live_server.url
    (tmp_path / "path").mkdir()
    (tmp_path / "path/gpulab").symlink_to(SOURCE)
    return Program(tmp_path, live_server.url)


@pytest.fixture
def signed_in(program: Program, now: Any) -> Callable[..., Program]:
    """`signed_in(alice)`: by a token in the environment, as scripts are."""

    def sign(user: User, scope: str = "launch") -> Program:
        program.environment = {"GPULAB_URL": program.url, "GPULAB_TOKEN": token_create(user=user, name="test", scope=scope, now=now)[1]}
        return program

    return sign
