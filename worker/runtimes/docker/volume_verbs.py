"""The verbs of base.py that are about volumes: workspaces, scratch, data sets."""

from contextlib import AbstractContextManager

from worker.runtimes.base import Measured
from worker.runtimes.docker.client import Engine
from worker.runtimes.docker.handover import Handover
from worker.runtimes.docker.images import Images
from worker.runtimes.docker.mounts import data_opened, scratch_prune
from worker.runtimes.docker.volumes import Sizes, workspaces_list
from worker.runtimes.mounts import Mount, Room


class VolumeVerbs:
    """A part of DockerRuntime."""

    node_id: str
    _engine: Engine
    _handover: Handover
    _images: Images
    _sizes: Sizes

    def data_opened(self, mount: Mount, image: str) -> AbstractContextManager[str]:
        """A volume's folder where this worker sees it; one of a server is mounted as long as a container holds it."""
        return data_opened(self._engine.patient, mount, self._images.held_as(image) if image else "", self.node_id)

    def scratch_prune(self) -> None:
        """Where no container uses it any more."""
        scratch_prune(self._engine.api, self.node_id)

    def workspaces(self) -> list[str]:
        """Volumes with this node's label."""
        return workspaces_list(self._engine.api, self.node_id)

    def workspace_files(self, name: str, folder: str, most: int) -> dict[str, str]:
        """In the volume's folder."""
        return self._sizes.files(self._engine.api, name, folder, most)

    def room_tell(self, name: str, room: Room) -> None:
        """By a file among those that the lab was handed."""
        self._handover.room(name, room)

    def workspace_measure(self, name: str, deadline_s: float) -> Measured | None:
        """By counting in the volume's folder, or by the engine where that is out of this worker's reach."""
        return self._sizes.measure(self._engine.api, name, deadline_s)
