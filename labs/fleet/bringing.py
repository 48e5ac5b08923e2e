"""What becomes of an image on a node on its way there and back: told, cancelled, given up, let go."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from labs.bus.bus import publish
from labs.catalogue.models import Image
from labs.fleet.models import NodeImage
from labs.ledger.services import Actor, event_record

#: After so many failures a node tries no more until it is asked again.
TRIES = 3


def image_told(*, node_id: str, image_id: int, percent: int, words: str, now: datetime, layers: Sequence[Mapping[str, Any]] = ()) -> bool:
    """How far a node is, in all and by layer; False when nobody wants it any more."""
    row = NodeImage.objects.filter(node_id=node_id, image_id=image_id, state=NodeImage.State.PULLING)
    with transaction.atomic():
        wanted = bool(row.update(percent=percent, words=words[:2000], layers=list(layers), updated_at=now))
        if wanted:
            publish("queue", "image", node=node_id, image=image_id, state=NodeImage.State.PULLING, percent=percent)
    return wanted


def image_cancel(*, image: Image, actor: Actor, now: datetime) -> int:
    """Let no node go on preparing it; how many were at it. Labs that wait for it end with these words."""
    rows = NodeImage.objects.filter(image=image, state__in=(NodeImage.State.PULLING, NodeImage.State.ABSENT))
    with transaction.atomic():
        words = f"Preparing it was cancelled by {actor}."
        count = rows.update(state=NodeImage.State.FAILED, percent=0, words=words, tries=TRIES, updated_at=now)
        if count:
            event_record(kind="image.cancelled", subject=f"image:{image.pk}", words=f"Preparing image {image} was cancelled.", actor=actor, now=now)
            publish("queue", "image", image=image.pk, state=NodeImage.State.FAILED, percent=0)
    return count


def image_give_up(*, node_id: str, image_id: int) -> None:
    """No retry would help."""
    NodeImage.objects.filter(node_id=node_id, image_id=image_id, state=NodeImage.State.FAILED).update(tries=TRIES)


def image_let_go(*, row: NodeImage, in_use: Callable[[], bool], now: datetime) -> bool:
    """Place no lab on it any more, so that it can be removed; False where something wants it after all."""
    with transaction.atomic():
        held = NodeImage.objects.select_for_update(no_key=True).filter(pk=row.pk, state=NodeImage.State.PRESENT)
        if in_use():
            return False
        return bool(held.update(state=NodeImage.State.ABSENT, words="Being removed", updated_at=now))


def images_mark(*, node_id: str, unused: Collection[int], full: Collection[int]) -> None:
    """Tell the node which it may let go: rows by their numbers. What is in neither stays."""
    rows = NodeImage.objects.filter(node_id=node_id)
    rows.exclude(pk__in=[*unused, *full]).exclude(spare="").update(spare="")
    rows.filter(pk__in=unused).exclude(spare=NodeImage.Spare.UNUSED).update(spare=NodeImage.Spare.UNUSED)
    rows.filter(pk__in=full).exclude(pk__in=unused).exclude(spare=NodeImage.Spare.FULL).update(spare=NodeImage.Spare.FULL)


def image_gone(*, row: NodeImage, removed: bool, why: str, now: datetime) -> None:
    """It is off the node; or it stayed, because the engine would not."""
    with transaction.atomic():
        if not removed:
            NodeImage.objects.filter(pk=row.pk, state=NodeImage.State.ABSENT).update(state=NodeImage.State.PRESENT, words="", updated_at=now)
            return
        NodeImage.objects.filter(pk=row.pk).delete()
        back = " It comes back when a lab asks for it." if row.image.is_active else ""
        words = f"Image {row.image} was removed from node {row.node_id}: {why}.{back}"
        event_record(kind="image.removed", subject=f"image:{row.image_id}", words=words, actor=None, now=now)
        publish("queue", "image", node=row.node_id, image=row.image_id, state=NodeImage.State.ABSENT, percent=0)
