"""Workspaces as volumes of the engine, reached by their path on its host."""

import contextlib
import os
from pathlib import Path

from worker.runtimes.base import LABEL_NODE, RuntimeFault
from worker.runtimes.docker.client import APIError, Engine, NotFound, faults

NOT_SEEN = (
    "This worker does not see the engine's volumes, so it can carry none: let it run on the engine's host as root, "
    "with the folder of the engine's volumes under the same path (docs/hosts.md)."
)


class VolumePlaces:
    """Volumes with the label of one node."""

    def __init__(self, realm: str) -> None:
        self._realm = realm
        self._engine = Engine()

    def folder(self, name: str, *, make: bool) -> Path | None:
        """The volume's folder on the host."""
        with faults("The workspace could not be looked up"):
            try:
                volume = self._engine.api.inspect_volume(name)
            except NotFound:
                if not make:
                    return None
                volume = self._engine.api.create_volume(name, labels={LABEL_NODE: self._realm})
        folder = Path(volume["Mountpoint"])
        if not os.access(folder.parent, os.R_OK | os.W_OK | os.X_OK):
            raise RuntimeFault(NOT_SEEN, transient=False)
        return folder

    def drop(self, name: str) -> None:
        """The volume, if it is empty and no container has it."""
        folder = self.folder(name, make=False)
        if folder and not (folder.is_dir() and any(folder.iterdir())):
            with contextlib.suppress(APIError):
                self._engine.api.remove_volume(name)
