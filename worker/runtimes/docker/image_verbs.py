"""The verbs of base.py that are about images, and the house's own short programs in them."""

from collections.abc import Sequence

from worker.runtimes.base import ImageFacts, Progress
from worker.runtimes.docker.client import Engine
from worker.runtimes.docker.create import overlay_name
from worker.runtimes.docker.images import Images
from worker.runtimes.docker.jobs import image_job, lab_job


class ImageVerbs:
    """A part of DockerRuntime."""

    node_id: str
    _engine: Engine
    _images: Images

    def image_inspect(self, image: str) -> ImageFacts | None:
        """What the node holds under that reference."""
        return self._images.facts(image)

    def image_prepare(self, image: str, progress: Progress, *, fresh: bool = False) -> None:
        """From a file, from our own folder, or from a registry."""
        self._images.prepare(image, progress, fresh=fresh)

    def image_digest_now(self, image: str) -> str:
        """As the registry tells the engine."""
        return self._images.digest_now(image)

    def image_look(self, image: str, script: str, within_s: int) -> str:
        """In a container of its own."""
        name = f"gpulab-look-{self.node_id}-{overlay_name(image)}"
        return image_job(self._engine, image=self._images.held_as(image), name=name, node_id=self.node_id, script=script, within_s=within_s)

    def image_remove(self, image: str) -> bool:
        """Never by force."""
        return self._images.remove(image)

    def run_inside(self, name: str, script: str, arguments: Sequence[str], within_s: int) -> tuple[int, str]:
        """By the engine."""
        return lab_job(self._engine, name=name, script=script, arguments=arguments, within_s=within_s)
