"""Place waiting labs: load a snapshot, plan, assign. Any number of these may run; the database lets one win."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import F, Q

from labs.bus.doorbell import node_queue, ring
from labs.fleet.models import NodeImage
from labs.fleet.queries import nodes_silent
from labs.fleet.services import node_unknown
from labs.lifecycle import states
from labs.lifecycle.claims import images_withdrawn_settle, offers_lapse
from labs.lifecycle.estimates import estimates_note
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign, lab_end
from labs.lifecycle.nodes import drains_settle
from labs.lifecycle.overquota import over_quota_settle
from labs.lifecycle.reclaims import reclaim_begin, reclaims_review
from labs.lifecycle.waiting import snapshot_load, waiting_labs
from labs.scheduler.plan import plan

IMAGE_TRIES = 3


def tick(*, now: datetime, fence: int | None = None) -> int:
    """One round; the number of labs placed. `fence` is the number of the turn in which it is run: a later turn refuses its writes."""
    for node_id in nodes_silent(now=now):
        node_unknown(node_id=node_id, now=now)
    drains_settle(now=now)
    offers_lapse(now=now)
    images_withdrawn_settle(now=now)
    over_quota_settle(now=now)
    reclaims_review(now=now, fence=fence)
    waiting = waiting_labs()
    failed = _images_failed(waiting)
    for lab in waiting:
        if not lab.owner.is_active:
            lab_end(lab_id=lab.pk, code="person_disabled", now=now)
        elif lab.state == states.QUEUED and lab.image_id in failed:
            lab_end(lab_id=lab.pk, code="image_failed", now=now, detail=failed[lab.image_id])
    snapshot = snapshot_load(now=now)
    made = plan(snapshot, now, estimates=False)
    for node_id, image_id in made.fetch:
        _fetch(node_id, image_id)
    placed = 0
    for placement in made.placements:
        placed += lab_assign(lab_id=placement.lab_id, node_id=placement.node_id, gpu_uuids=placement.gpu_uuids, now=now, fence=fence)
    for one in made.reclaims:
        reclaim_begin(lab_id=one.lab_id, taken_for=one.taken_for, now=now, fence=fence)
    estimates_note(snapshot=snapshot, now=now)
    return placed


def _images_failed(labs: Iterable[Lab]) -> dict[int, str]:
    """Of the images that are waited for, those that every node which tried has given up, with the words of a failure."""
    tried: dict[int, list[NodeImage]] = {}
    for row in NodeImage.objects.filter(image__in={lab.image_id for lab in labs}, node__runtime=F("image__runtime")).order_by("pk"):
        tried.setdefault(row.image_id, []).append(row)
    return {image_id: rows[0].words for image_id, rows in tried.items() if all(_given_up(row) for row in rows)}


def _given_up(row: NodeImage) -> bool:
    return row.state == NodeImage.State.FAILED and row.tries >= IMAGE_TRIES


def _fetch(node_id: str, image_id: int) -> None:
    """Ask the node for an image, unless it is at it or has failed too often."""
    done = Q(state__in=(NodeImage.State.PULLING, NodeImage.State.PRESENT)) | Q(tries__gte=IMAGE_TRIES)
    if not NodeImage.objects.filter(done, node_id=node_id, image_id=image_id).exists():
        ring("worker.image_prepare", queue=node_queue(node_id), node_id=node_id, image_id=image_id)
