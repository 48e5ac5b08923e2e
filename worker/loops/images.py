"""Bring images onto the node, with progress that waiting labs show. No GPU is held meanwhile."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

from labs.catalogue.models import Image
from labs.catalogue.services import image_described
from labs.fleet.models import NodeImage
from labs.fleet.services import node_image_set
from worker.hands import Hands
from worker.runtimes.base import ImageFacts, RuntimeFault

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="images")
PROGRESS_EVERY_S = 0.5


def survey(*, hands: Hands) -> None:
    """Write down which offered images the node holds. A pull that nobody is at any more is begun again."""
    for image in Image.objects.filter(is_active=True, runtime=_kind(hands)):
        if not hands.take(f"image:{image.pk}"):
            continue
        try:
            facts = hands.runtime.image_inspect(image.reference)
            if facts:
                _present(hands, image, facts)
            else:
                row = NodeImage.objects.filter(node_id=hands.node_id, image=image).exclude(state=NodeImage.State.FAILED)
                row.update(state=NodeImage.State.ABSENT)
        finally:
            hands.release(f"image:{image.pk}")


def prepare(*, hands: Hands, image_id: int) -> None:
    """Pull, build or install one image; progress at most twice a second; a failure keeps its words."""
    image = Image.objects.get(pk=image_id)
    told = 0.0

    def progress(percent: int, words: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY_S:
            told = time.monotonic()
            _set(hands, image, NodeImage.State.PULLING, percent, words)

    try:
        facts = hands.runtime.image_inspect(image.reference)
        if facts is None:
            log.info("preparing image %s", image.reference)
            _set(hands, image, NodeImage.State.PULLING, 0, "Beginning")
            hands.runtime.image_prepare(image.reference, progress)
            facts = hands.runtime.image_inspect(image.reference)
        if facts is None:
            raise RuntimeFault("It is not there after it was prepared.")
        _present(hands, image, facts)
    except RuntimeFault as fault:
        log.warning("image %s: %s (%s)", image.reference, fault.words, fault.detail)
        _set(hands, image, NodeImage.State.FAILED, 0, fault.words)


def _present(hands: Hands, image: Image, facts: ImageFacts) -> None:
    labels = {name: facts.labels.get(f"gpulab.{name}", "") for name in ("torch", "cuda", "python")}
    image_described(image_id=image.pk, digest=facts.digest, pulled=facts.pulled, **labels)
    if not NodeImage.objects.filter(node_id=hands.node_id, image=image, state=NodeImage.State.PRESENT).exists():
        _set(hands, image, NodeImage.State.PRESENT, 100, "")


def _set(hands: Hands, image: Image, state: str, percent: int, words: str) -> None:
    node_image_set(node_id=hands.node_id, image_id=image.pk, state=state, percent=percent, words=words, now=hands.clock())


def _kind(hands: Hands) -> str:
    return Image.Runtime.PROCESS if hands.runtime.kind == "process" else Image.Runtime.DOCKER
