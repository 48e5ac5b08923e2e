"""The verbs of base.py that are about volumes: people's folders on this machine, data sets."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from worker.runtimes.base import Measured, RuntimeFault
from worker.runtimes.folders import folder_files, folder_found, folder_measure, room_write
from worker.runtimes.mounts import CONTENTS, FOLDER, Mount, Room


class VolumeVerbs:
    """A part of ProcessRuntime."""

    run: Path
    homes: Path

    def data_opened(self, mount: Mount, image: str) -> AbstractContextManager[str]:
        """Folders of this machine; there is no engine that could mount anything else."""
        if mount.kind != FOLDER:
            raise RuntimeFault("Labs of this node are plain processes: only folders of the machine can be data sets here.", transient=False)
        return nullcontext(str(folder_found(mount.source)))

    def scratch_prune(self) -> None:
        """It lies in the lab's own folder and goes with that."""

    def workspaces(self) -> list[str]:
        """The folders of people."""
        return [folder.name for folder in self.homes.iterdir() if folder.is_dir()]

    def workspace_files(self, name: str, folder: str, most: int) -> dict[str, str]:
        """In the person's home."""
        return folder_files(self.homes / Path(name).name, folder, most)

    def room_tell(self, name: str, room: Room) -> None:
        """By a file in the lab's folder."""
        room_write(self.run / Path(name).name / CONTENTS, room)

    def workspace_measure(self, name: str, deadline_s: float) -> Measured | None:
        """By counting."""
        folder = self.homes / Path(name).name
        return folder_measure(folder, deadline_s) if folder.is_dir() else None
