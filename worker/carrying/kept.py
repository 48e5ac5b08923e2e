"""A person's snapshots on this host, carried after the workspace that they are of: each a file with its number as its name."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from worker.carrying.here import Here, Stuck, removed

FILE = re.compile(r"(\d{1,18})\.tar\.(?:zst|gz)")


@dataclass(frozen=True, slots=True)
class Kept(Here):
    """One end of one try to bring them; beside what is there already, nothing of which is touched."""

    def land(self) -> None:
        """Put those that arrived among those that are there. What else came is no snapshot, and is thrown away."""
        folder, staging = self._folder(make=True), self._beside(f"in-{self.mark}-{self.tries}")
        if self.has_landed:
            return
        for file in staging.iterdir():
            state = file.lstat()
            if FILE.fullmatch(file.name) and stat.S_ISREG(state.st_mode) and state.st_nlink == 1:
                if os.geteuid() == 0:
                    os.chown(file, 0, 0, follow_symlinks=False)
                file.rename(folder / file.name)
        removed(staging)

    def _folder(self, *, make: bool = False) -> Path:
        folder = self.find(make)
        if folder is None:
            raise Stuck(f"Node {self.name} does not show its snapshots to whoever carries them (GPULAB_SNAPSHOTS of its relay).", final=True)
        return folder
