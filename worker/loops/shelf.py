"""Which images a node lets go: those that nobody used for long, and sooner where the disk fills. Never one that something needs."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.conf import settings

from labs.fleet.bringing import image_gone, image_let_go, images_mark
from labs.fleet.models import NodeImage
from labs.fleet.queries import nodes_all
from labs.trials.queries import images_deleted, images_spare, images_told_spare, labs_of_image
from worker.disks import NEARLY_PCT, used_pct
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault

log = logging.getLogger(__name__)


def house_tick(*, now: datetime) -> None:
    """Tell every node which images it may let go: only the house sees who will need one. With 0 days, none."""
    for node in nodes_all():
        rows = [images_spare(node_id=node.pk, full=full, now=now) if settings.IMAGE_KEEP_DAYS else [] for full in (False, True)]
        images_mark(node_id=node.pk, unused=[row.pk for row in rows[0]], full=[row.pk for row in rows[1]])


def tick(*, hands: Hands, now: datetime, used: Callable[[], int | None] | None = None) -> int:
    """Let go what the house said is spare; how many went. `used` tells how full the disk of images is, in percent."""
    if not settings.IMAGE_KEEP_DAYS:
        return 0
    used = used or _disk(hands)
    gone = 0
    for row in images_told_spare(node_id=hands.node_id, full=False):
        gone += _removed(hands, row, f"no lab used it for {settings.IMAGE_KEEP_DAYS} days", now)
    for row in images_told_spare(node_id=hands.node_id, full=True):
        if (used() or 0) < NEARLY_PCT:
            break
        gone += _removed(hands, row, "the disk fills and nothing uses it", now)
    return gone


def deleted_tick(*, hands: Hands, now: datetime) -> int:
    """Let go what people deleted; how many went. One that a container or another layer is made of goes later."""
    gone = 0
    for row in images_deleted(node_id=hands.node_id):
        try:
            removed = hands.runtime.image_remove(row.image.reference)
        except RuntimeFault as fault:
            log.warning("image %s stays for now: %s", row.image.reference, fault.words)
            continue
        if removed:
            image_gone(row=row, removed=True, why="it was deleted", now=now)
            gone += 1
    return gone


def _disk(hands: Hands) -> Callable[[], int | None]:
    root = hands.runtime.info().root
    return lambda: used_pct(Path(root)) if root else None


def _removed(hands: Hands, row: NodeImage, why: str, now: datetime) -> bool:
    if not image_let_go(row=row, in_use=lambda: labs_of_image(image_id=row.image_id), now=now):
        return False
    removed = False
    try:
        removed = hands.runtime.image_remove(row.image.reference)
    except RuntimeFault as fault:
        log.warning("image %s stays: %s", row.image.reference, fault.words)
    image_gone(row=row, removed=removed, why=why, now=now)
    return removed
