"""Bring images onto the node, with progress that waiting labs show, and look inside. No GPU is held meanwhile."""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from labs.catalogue.models import Image
from labs.catalogue.services import image_described, image_looked, image_tag_seen, image_unreadable
from labs.fleet.bringing import TRIES, image_give_up, image_told
from labs.fleet.models import NodeImage
from labs.fleet.services import node_image_set
from worker.asking import understood
from worker.hands import Hands
from worker.runtimes.base import ImageFacts, RuntimeFault
from worker.runtimes.makes import Layer

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="images")
PROGRESS_EVERY_S = 0.5
LOOK = settings.BASE_DIR / "images" / "look.py"
LOOK_WITHIN_S = 180
#: How often a registry is asked what it has under a tag, and how long a failed pull rests: twice as long after every failure.
TAG_EVERY, REST = timedelta(hours=12), timedelta(minutes=1)


class Cancelled(Exception):
    """Nobody wants the image any more."""


def survey(*, hands: Hands) -> None:
    """Write down which offered images the node holds, begin what is wanted and nobody is at, and look into what nobody has looked into."""
    for image in Image.objects.select_related("contents").filter(is_active=True, runtime=_kind(hands)):
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
        _follow_up(hands, image, facts)


def _follow_up(hands: Hands, image: Image, facts: ImageFacts | None) -> None:
    now = hands.clock()
    if facts is None and _wanted(hands, image, now):
        hands.once(pool, f"image:{image.pk}", lambda: prepare(hands=hands, image_id=image.pk))
    elif facts and _unseen(image):
        hands.once(pool, f"look:{image.pk}", lambda: look(hands=hands, image_id=image.pk))
    elif facts and facts.pulled and (image.tag_checked_at is None or image.tag_checked_at < now - TAG_EVERY):
        hands.once(pool, f"tag:{image.pk}", lambda: tag_look(hands=hands, image=image))


def _unseen(image: Image) -> bool:
    """Nobody has looked into it, or not yet for its packages."""
    return image.looked_at is None or (image.is_fit and image.runtime == Image.Runtime.DOCKER and not hasattr(image, "contents"))


def _wanted(hands: Hands, image: Image, now: datetime) -> bool:
    """Was it asked for and not got, or is it kept everywhere? A failure is tried again, later each time, until it is given up."""
    row = NodeImage.objects.filter(node_id=hands.node_id, image=image).first()
    if row is None:
        return image.keeping == Image.Keeping.ALWAYS
    rested = row.updated_at <= now - REST * 2**row.tries
    return row.state == NodeImage.State.ABSENT or (row.state == NodeImage.State.FAILED and row.tries < TRIES and rested)


def prepare(*, hands: Hands, image_id: int) -> None:
    """Load, pull, build or install one image; progress at most twice a second; a failure keeps its words; look inside at the end."""
    image = Image.objects.get(pk=image_id)
    told, layers = 0.0, Layered()

    def progress(percent: int, words: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY_S:
            told = time.monotonic()
            if not image_told(node_id=hands.node_id, image_id=image_id, percent=percent, words=words, now=hands.clock(), layers=layers.shown()):
                raise Cancelled

    try:
        facts = hands.runtime.image_inspect(image.reference)
        if facts is None:
            log.info("preparing image %s", image.reference)
            _set(hands, image, NodeImage.State.PULLING, 0, "Beginning")
            hands.runtime.image_prepare(image.reference, progress, fresh=image.replaces_id is not None, layers=layers.hear)
            facts = hands.runtime.image_inspect(image.reference)
        if facts is None:
            raise RuntimeFault("It is not there after it was prepared.")
        _present(hands, image, facts)
    except Cancelled:
        log.info("image %s was cancelled", image.reference)
        return
    except RuntimeFault as fault:
        log.warning("image %s: %s (%s)", image.reference, fault.words, fault.detail)
        _set(hands, image, NodeImage.State.FAILED, 0, fault.words)
        if not fault.transient:
            image_give_up(node_id=hands.node_id, image_id=image_id)
        return
    look(hands=hands, image_id=image_id)


class Layered:
    """The layers of a pull as the record has them: those that are under way first, and no more than a page shows."""

    MOST = 40

    def __init__(self) -> None:
        self._layers: Sequence[Layer] = ()

    def hear(self, layers: Sequence[Layer]) -> None:
        """How far each is now."""
        self._layers = layers

    def shown(self) -> list[dict[str, Any]]:
        """As JSON."""
        rows = sorted(self._layers, key=lambda one: (one.unpacked, not 0 < one.done < one.total))
        return [{"id": one.id, "done": one.done, "total": one.total, "unpacked": one.unpacked} for one in rows[: self.MOST]]


def look(*, hands: Hands, image_id: int) -> None:
    """Ask the image itself what is in it, once a digest."""
    image = Image.objects.get(pk=image_id)
    facts = hands.runtime.image_inspect(image.reference)
    if not _unseen(image) or facts is None:
        return
    try:
        said = hands.runtime.image_look(image.reference, LOOK.read_text(), LOOK_WITHIN_S)
    except RuntimeFault as fault:
        if fault.transient:
            raise
        image_unreadable(image_id=image_id, words=f"{fault.words} {fault.detail[-300:]}".strip(), now=hands.clock())
        return
    told = understood(said.strip().rpartition("\n")[2].encode())
    if not isinstance(told, dict):
        image_unreadable(image_id=image_id, words="What it says of itself is not understood.", now=hands.clock())
        return
    if told:
        about = {"size": facts.size, "layers": facts.layers, "made_at": facts.made_at}
        image_looked(image_id=image_id, told=told | about, labels=_labels(facts), now=hands.clock())


def tag_look(*, hands: Hands, image: Image) -> None:
    """Ask the registry what it has under the tag now; one that does not answer is asked another day."""
    try:
        digest = hands.runtime.image_digest_now(image.name)
    except RuntimeFault as fault:
        log.info("what %s is now was not told: %s", image.name, fault.words)
        digest = ""
    image_tag_seen(image_id=image.pk, digest=digest or image.tag_digest, now=hands.clock())


def _present(hands: Hands, image: Image, facts: ImageFacts) -> None:
    image_described(image_id=image.pk, digest=facts.digest, pulled=facts.pulled, **_labels(facts))
    if not NodeImage.objects.filter(node_id=hands.node_id, image=image, state=NodeImage.State.PRESENT).exists():
        _set(hands, image, NodeImage.State.PRESENT, 100, "")


def _labels(facts: ImageFacts) -> dict[str, str]:
    return {name: facts.labels.get(f"gpulab.{name}", "") for name in ("torch", "cuda", "python")}


def _set(hands: Hands, image: Image, state: str, percent: int, words: str) -> None:
    node_image_set(node_id=hands.node_id, image_id=image.pk, state=state, percent=percent, words=words, now=hands.clock())


def _kind(hands: Hands) -> str:
    return Image.Runtime.PROCESS if hands.runtime.kind == "process" else Image.Runtime.DOCKER
