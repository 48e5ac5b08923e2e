"""The verbs of base.py that are about images, and the house's own short programs in them."""

from collections.abc import Sequence

from worker.runtimes.base import ImageFacts, Progress
from worker.runtimes.docker.client import Engine
from worker.runtimes.docker.create import overlay_folder, overlay_name
from worker.runtimes.docker.images import Images
from worker.runtimes.docker.jobs import image_job, lab_heard, lab_job
from worker.runtimes.docker.layers import layer_save, text_build
from worker.runtimes.makes import Hear, Layers, Saved, Saving


class ImageVerbs:
    """A part of DockerRuntime."""

    node_id: str
    _engine: Engine
    _images: Images

    def image_inspect(self, image: str) -> ImageFacts | None:
        """What the node holds under that reference."""
        return self._images.facts(image)

    def image_prepare(self, image: str, progress: Progress, *, fresh: bool = False, layers: Layers | None = None) -> None:
        """From a file, from our own folder, or from a registry."""
        self._images.prepare(image, progress, fresh=fresh, layers=layers)

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

    def run_heard(self, name: str, script: str, arguments: Sequence[str], hear: Hear) -> int:
        """By the engine, which passes on what it says."""
        return lab_heard(self._engine, name=name, script=script, arguments=arguments, hear=hear)

    def overlay_folder(self, image_digest: str) -> str:
        """Below the workspace."""
        return overlay_folder(image_digest)

    def image_save(self, saving: Saving, progress: Progress) -> Saved:
        """By a build that only copies."""
        return layer_save(self._engine, self._images, saving, progress)

    def image_build(self, key: str, dockerfile: str, hear: Hear) -> Saved:
        """By the engine's own builder."""
        return text_build(self._engine, self._images, key, dockerfile, hear)
