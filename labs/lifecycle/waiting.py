"""The queue as the scheduler sees it. The queue is no table of its own: it is the waiting labs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from labs.datasets.queries import waiting_for_data
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_refused, image_unsafe
from labs.lifecycle import states
from labs.lifecycle.allowances import Allowance, allowances_of
from labs.lifecycle.at_rest import where_encrypted
from labs.lifecycle.fairness import groups_view, may_lose_s, people_view, runs_past, tree_load
from labs.lifecycle.homes import at_home
from labs.lifecycle.models import Lab, QueueMove
from labs.lifecycle.occupancy import Nodes, Taken, nodes_view, running_view, taken_load, unit_share
from labs.people.models import User
from labs.policy.rules import Asked, budget_spent
from labs.scheduler.policy import Policy
from labs.scheduler.snapshot import ImageView, NodeView, Snapshot, Waiting
from labs.snapshots.queries import waiting_for_restores
from labs.timetable.queries import holds_between

#: How far ahead windows are looked at: no lab runs longer.
AHEAD = timedelta(days=14)


def waiting_labs() -> list[Lab]:
    """Labs that wait: queued ones, and running ones that wait for cards."""
    wanted = Q(state=states.QUEUED) | Q(state=states.RUNNING, next_gpus__isnull=False)
    return list(Lab.objects.select_related("owner", "image", "node").filter(wanted, target=Lab.Target.RUNNING).order_by("requested_at", "pk"))


@dataclass(frozen=True, slots=True)
class Floor:
    """Who waits, what is held, what each node has, and what people may have: loaded once by who asks more than one thing about a moment."""

    labs: tuple[Lab, ...]
    taken: Taken
    nodes: Nodes
    may: Mapping[int, Allowance]


def floor_load(*, users: Iterable[User] = (), now: datetime) -> Floor:
    """`may` is that of these people, and of all who wait or hold something."""
    labs, taken = tuple(lab for lab in waiting_labs() if lab.owner.is_active), taken_load()
    people = {lab.owner_id: lab.owner for lab in (*labs, *taken.labs)} | {user.pk: user for user in users}
    return Floor(labs, taken, nodes_view(taken=taken), allowances_of(users=people.values(), now=now))


def snapshot_load(*, now: datetime, extra: tuple[Waiting, ...] = (), floor: Floor | None = None) -> Snapshot:
    """Everything that a plan depends on, as plain values, in a number of queries that does not grow with the queue.

    `extra` are wishes that are only being considered. A `floor` with what their owners may have is used where it is at hand.
    """
    floor = floor or floor_load(users=User.objects.filter(pk__in=[one.owner_id for one in extra]), now=now)
    taken, nodes, may = floor.taken, floor.nodes, floor.may
    spent = [user_id for user_id, one in may.items() if budget_spent(one.held, one.limits, one.shares)]
    moves = dict(QueueMove.objects.filter(undone_at=None).values_list("lab_id", "priority"))
    waiting = (*(_waiting(lab, moves, nodes) for lab in floor.labs), *extra)
    tree, holds = tree_load(), holds_between(start=now, until=now + AHEAD)
    bound = waiting_for_data(labs=waiting_for_restores(labs=at_home(labs=waiting, nodes=nodes, holds=holds)), nodes=nodes)
    return Snapshot(
        nodes=nodes,
        waiting=where_encrypted(labs=bound, nodes=nodes, asking=tree.asking()),
        images=_images(),
        held={user_id: one.held for user_id, one in may.items()},
        limits={user_id: one.limits for user_id, one in may.items()},
        running=running_view(taken=taken, budgets_spent=spent, now=now),
        people=people_view(allowances=may, tree=tree, now=now),
        groups=groups_view(shares=taken.shares, tree=tree, now=now),
        shares={share.group_id: share for one in may.values() for share in one.shares},
        holds=holds,
        runs=runs_past(now=now).get(0, ()),
        policy=policy_of(settings.DEFAULTS["fairness"]),
        may_lose_s=may_lose_s(now=now),
    )


def policy_of(numbers: Mapping[str, Any]) -> Policy:
    """The numbers of fairness as the settings have them."""
    return Policy(
        aged_after_s=numbers["aged_after_h"] * 3600,
        aged_at_once=numbers["aged_at_once"],
        aged_at_work=numbers["aged_at_work"],
        long_wait_s=numbers["long_wait_h"] * 3600,
        bands_h=tuple(numbers["limit_bands_h"]),
        keep_free=tuple(percent / 100 for percent in numbers["keep_free_pct"]),
        reclaim_after_s=numbers["reclaim_after_wait_s"],
        reclaim_min_run_s=numbers["reclaim_min_run_s"],
        reclaim_notice_s=numbers["reclaim_notice_s"],
    )


def _waiting(lab: Lab, moves: Mapping[str, int], nodes: Iterable[NodeView]) -> Waiting:
    running = lab.state == states.RUNNING
    return Waiting(
        lab_id=lab.pk,
        owner_id=lab.owner_id,
        since=lab.waits_since,
        asked=asked_of(lab, nodes),
        gpu_model=lab.next_gpu_model if running else lab.gpu_model,
        image_id=lab.image_id,
        image_runtime=lab.image.runtime,
        on_node=str(lab.node_id) if running else "",
        placed=running,
        gpus_held=lab.gpus if running else 0,
        wants_slice="" if running else lab.wants_slice,
        may_borrow=lab.may_borrow,
        priority=moves.get(lab.pk, 0),
        hold_id=lab.hold_id,
        data=tuple(lab.data),
    )


def asked_of(lab: Lab, nodes: Iterable[NodeView]) -> Asked:
    """What the lab asks for; a running one, what its next attempt does."""
    running = lab.state == states.RUNNING and lab.next_gpus is not None
    gpus = lab.next_gpus if running and lab.next_gpus is not None else lab.gpus
    share = 1.0 if running else unit_share(lab.wants_slice, nodes)
    return Asked(gpus=gpus, cpus=lab.cpus, memory_mib=lab.memory_mib, shm_mib=lab.shm_mib, hours=lab.hours, gpu_share=share)


def _images() -> dict[tuple[str, int], ImageView]:
    rows = NodeImage.objects.select_related("image", "node").prefetch_related("node__gpus", "image__qualifications")
    return {(row.node_id, row.image_id): _image(row) for row in rows}


def _image(row: NodeImage) -> ImageView:
    """A node none of whose cards the image computes on is as good as one that has not got it."""
    refused = image_unsafe(image=row.image, nodes=[row.node]) or image_refused(image=row.image, nodes=[row.node])
    if refused:
        return ImageView(present=False, words=f"Node {row.node}: {refused}")
    return ImageView(present=row.state == NodeImage.State.PRESENT, words=_image_words(row))


def _image_words(row: NodeImage) -> str:
    if row.state == NodeImage.State.FAILED:
        return f"The image {row.image} could not be prepared: {row.words}"
    return f"The image {row.image} is being prepared: {row.percent}%{' – ' + row.words if row.words else ''}"
