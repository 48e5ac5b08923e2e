"""Workspaces as folders of this host."""

import contextlib
from pathlib import Path


class FolderPlaces:
    """Below one folder, each under its name."""

    def __init__(self, homes: Path) -> None:
        self._homes = homes

    def folder(self, name: str, *, make: bool) -> Path | None:
        """Where it is, or is to be: whoever makes it knows whose it is."""
        path = self._homes / Path(name).name
        if make:
            self._homes.mkdir(parents=True, exist_ok=True)
        return path if make or path.is_dir() else None

    def drop(self, name: str) -> None:
        """The folder, if it is empty."""
        with contextlib.suppress(OSError):
            (self._homes / Path(name).name).rmdir()
