"""The queue as people read it: place, reasons, estimate, levers. All of it is what the scheduler's own plan says."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Min

from labs.lifecycle import states
from labs.lifecycle.models import Estimate, Lab, Lease, QueueMove, Reclaim
from labs.lifecycle.scoring import Score, score
from labs.lifecycle.waiting import Floor, snapshot_load, waiting_labs
from labs.people.models import User
from labs.scheduler.levers import levers, starts_without_gpus
from labs.scheduler.plan import plan
from labs.scheduler.snapshot import Estimate as Range
from labs.scheduler.snapshot import Lever, Placement, Snapshot, Wait, Waiting

WEEK = timedelta(days=7)
PLACING = ("Is being placed.",)


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A waiting lab with its place, every reason in words, when it is expected to start, and an administrator's move of it.

    `without_gpus`: would it start now if it gave up its GPUs? Asked for one's own labs only.
    """

    lab: Lab
    place: int
    reasons: tuple[str, ...]
    estimate: Range | None = None
    move: QueueMove | None = None
    without_gpus: bool = False


def queue_view(*, now: datetime) -> list[QueueEntry]:
    """Every waiting lab in order. A lab that the next tick places is first and has the place 0."""
    labs = {lab.pk: lab for lab in waiting_labs()}
    return _entries(labs, snapshot_load(now=now), now) if labs else []


def waits_of(*, user: User, now: datetime) -> dict[str, QueueEntry]:
    """A person's own waiting labs by id, each with whether it would start now without GPUs."""
    labs = {lab.pk: lab for lab in waiting_labs()}
    mine = {lab.pk for lab in labs.values() if lab.owner_id == user.pk}
    if not mine:
        return {}
    snapshot = snapshot_load(now=now)
    bare = {pk for pk in mine if labs[pk].state == states.QUEUED and labs[pk].gpus and starts_without_gpus(snapshot, pk, now)}
    return {entry.lab.pk: replace(entry, without_gpus=entry.lab.pk in bare) for entry in _entries(labs, snapshot, now) if entry.lab.pk in mine}


def wait_of(*, lab: Lab, now: datetime, snapshot: Snapshot | None = None) -> QueueEntry | None:
    """The lab's own entry; None when it does not wait. A `snapshot` that is at hand already is used."""
    return next(iter(_entries({lab.pk: lab}, snapshot or snapshot_load(now=now), now)), None)


def levers_of(*, lab: Lab, now: datetime, snapshot: Snapshot | None = None) -> tuple[Lever, ...]:
    """What its owner could change so that it starts sooner, each found by the scheduler's own plan.

    Of a running lab that waits for other cards only these can change: it has its time, and has what it runs on.
    """
    found = levers(snapshot or snapshot_load(now=now), lab.pk, now) if lab.waits else ()
    if lab.state == states.QUEUED:
        return found
    return tuple(one for one in found if one.code.startswith(("gpus:", "model:")) and one.waiting.asked.gpus not in (0, lab.gpus))


def would_wait(*, user: User, waiting: Waiting, now: datetime, floor: Floor | None = None) -> tuple[Placement | None, Wait | None]:
    """What would happen to a wish if it were made now: the same plan that the loop uses."""
    made = plan(snapshot_load(now=now, extra=(waiting,), floor=floor), now)
    placed = next((one for one in made.placements if one.lab_id == waiting.lab_id), None)
    return placed, made.waits.get(waiting.lab_id)


def card_free_at(*, now: datetime) -> datetime | None:
    """When the next card comes free: by the limit of the lab that holds it, or because it is taken back; None when none is held."""
    held = Lease.objects.filter(closed_at=None, lab__state=states.RUNNING, lab__ends_at__gt=now)
    limits = held.aggregate(at=Min("lab__ends_at"))["at"]
    taken = Reclaim.objects.filter(closed_at=None, ends_at__gt=now).aggregate(at=Min("ends_at"))["at"]
    return min((at for at in (limits, taken) if at is not None), default=None)


def estimates_score(*, now: datetime) -> Score:
    """How the estimates of the last seven days did."""
    rows = Estimate.objects.filter(came_at__gt=now - WEEK, came_at__lte=now).values_list("earliest", "latest", "came_at")
    return score([(earliest, latest, came) for earliest, latest, came in rows if came])


def _entries(labs: dict[str, Lab], snapshot: Snapshot, now: datetime) -> list[QueueEntry]:
    made = plan(snapshot, now)
    moves = {move.lab_id: move for move in QueueMove.objects.filter(undone_at=None, lab__in=labs)}
    placed = [QueueEntry(labs[one.lab_id], 0, PLACING, move=moves.get(one.lab_id)) for one in made.placements if one.lab_id in labs]
    waits = [_entry(labs[wait.lab_id], wait, moves) for wait in made.waits.values() if wait.lab_id in labs]
    return placed + sorted(waits, key=lambda entry: entry.place)


def _entry(lab: Lab, wait: Wait, moves: dict[str, QueueMove]) -> QueueEntry:
    return QueueEntry(lab, wait.place, wait.reasons, wait.estimate, moves.get(lab.pk))
