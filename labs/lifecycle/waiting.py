"""The queue as the scheduler sees it, and as people read it. The queue is no table of its own: it is the waiting labs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, Q, Sum

from labs.fleet.models import Gpu, Node, NodeImage
from labs.lifecycle import states
from labs.lifecycle.holdings import held_by_people
from labs.lifecycle.models import Lab, Lease
from labs.people.models import User
from labs.policy.queries import limits_of
from labs.policy.rules import Asked
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Card, ImageView, NodeView, Placement, Snapshot, Wait, Waiting

#: What a node keeps for itself, MiB.
HOST_MEMORY_MIB = 1024


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A waiting lab with its place and every reason in words."""

    lab: Lab
    place: int
    reasons: tuple[str, ...]


def waiting_labs() -> list[Lab]:
    """Labs that wait: queued ones, and running ones that wait for cards."""
    wanted = Q(state=states.QUEUED) | Q(state=states.RUNNING, next_gpus__isnull=False)
    return list(Lab.objects.select_related("owner", "image", "node").filter(wanted, target=Lab.Target.RUNNING).order_by("requested_at", "pk"))


def snapshot_load(*, now: datetime, extra: tuple[Waiting, ...] = ()) -> Snapshot:
    """Everything that a plan depends on, as plain values. `extra` are wishes that are only being considered."""
    labs = [lab for lab in waiting_labs() if lab.owner.is_active]
    waiting = (*(_waiting(lab) for lab in labs), *extra)
    owner_ids = {one.owner_id for one in waiting}
    owners = {lab.owner_id: lab.owner for lab in labs} | {user.pk: user for user in User.objects.filter(pk__in=[w.owner_id for w in extra])}
    images = {
        (row.node_id, row.image_id): ImageView(present=row.state == NodeImage.State.PRESENT, words=_image_words(row))
        for row in NodeImage.objects.select_related("image")
    }
    return Snapshot(
        nodes=nodes_view(),
        waiting=waiting,
        images=images,
        held=held_by_people(user_ids=owner_ids, now=now),
        limits={user_id: limits_of(user=user, now=now) for user_id, user in owners.items()},
    )


def queue_view(*, now: datetime) -> list[QueueEntry]:
    """Every waiting lab in order, with its reasons. A lab that the next tick places has none."""
    labs = {lab.pk: lab for lab in waiting_labs()}
    made = plan(snapshot_load(now=now), now)
    placed = {placement.lab_id for placement in made.placements}
    entries = [QueueEntry(labs[wait.lab_id], wait.place, wait.reasons) for wait in made.waits.values() if wait.lab_id in labs]
    return [QueueEntry(labs[lab_id], 0, ("Is being placed.",)) for lab_id in labs if lab_id in placed] + entries


def wait_of(*, lab: Lab, now: datetime) -> QueueEntry | None:
    """The lab's own entry; None when it does not wait."""
    return next((entry for entry in queue_view(now=now) if entry.lab.pk == lab.pk), None)


def would_wait(*, user: User, waiting: Waiting, now: datetime) -> tuple[Placement | None, Wait | None]:
    """What would happen to a wish if it were made now: the same plan that the loop uses."""
    made = plan(snapshot_load(now=now, extra=(waiting,)), now)
    placed = next((one for one in made.placements if one.lab_id == waiting.lab_id), None)
    return placed, made.waits.get(waiting.lab_id)


def nodes_view() -> tuple[NodeView, ...]:
    """The nodes with what is free on each."""
    used = {row["node_id"]: row for row in _used_by_node()}
    leased = set(Lease.objects.filter(closed_at=None).values_list("gpu_id", flat=True))
    cards = Prefetch("gpus", queryset=Gpu.objects.filter(health=Gpu.Health.OK).order_by("index"))
    return tuple(_node(node, used.get(node.pk, {}), leased) for node in Node.objects.prefetch_related(cards))


def _used_by_node() -> list[dict[str, Any]]:
    rows = Lab.objects.filter(state__in=states.HOLDING).order_by().values("node_id").annotate(cpus=Sum("cpus"), memory=Sum("memory_mib"))
    return [dict(row) for row in rows]


def _node(node: Node, used: dict[str, Any], leased: set[str]) -> NodeView:
    memory = max(node.memory_mib - HOST_MEMORY_MIB, 0)
    return NodeView(
        id=node.pk,
        name=node.name,
        cpus=node.cpus,
        free_cpus=node.cpus * settings.CPU_OVERCOMMIT - used.get("cpus", 0),
        memory_mib=memory,
        free_memory_mib=memory - used.get("memory", 0),
        cards=tuple(Card(uuid=gpu.uuid, model=gpu.model, free=gpu.uuid not in leased) for gpu in node.gpus.all() if node.gpu_ready or gpu.simulated),
        closed=_closed(node),
        runtime=node.runtime,
    )


def _closed(node: Node) -> str:
    if node.state != Node.State.READY:
        return node.get_state_display()
    if node.is_red:
        return "a safety check is red: " + "; ".join(check["words"] for check in node.checks if check.get("state") == "red")
    return "" if node.runtime else "its worker has not reported yet"


def _waiting(lab: Lab) -> Waiting:
    running = lab.state == states.RUNNING
    gpus = lab.next_gpus if running and lab.next_gpus is not None else lab.gpus
    return Waiting(
        lab_id=lab.pk,
        owner_id=lab.owner_id,
        since=lab.requested_at,
        asked=Asked(gpus=gpus, cpus=lab.cpus, memory_mib=lab.memory_mib, shm_mib=lab.shm_mib, hours=lab.hours),
        gpu_model=lab.next_gpu_model if running else lab.gpu_model,
        image_id=lab.image_id,
        image_runtime=lab.image.runtime,
        on_node=str(lab.node_id) if running else "",
        placed=running,
        gpus_held=lab.gpus if running else 0,
    )


def _image_words(row: NodeImage) -> str:
    if row.state == NodeImage.State.FAILED:
        return f"The image {row.image} could not be prepared: {row.words}"
    return f"The image {row.image} is being prepared: {row.percent}%{' – ' + row.words if row.words else ''}"
