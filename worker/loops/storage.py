"""How much each person's workspace on this node holds: as its file system says where it keeps limits, else measured one at a time in a process apart."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.conf import settings
from django.db.models import Max

from labs.fleet.models import Node
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.policy.queries import limits_of_people
from labs.storage.queries import Disk, disk_held, measurements_on, workspaces_on
from labs.storage.rules import BESIDE, GIB, MIB, OFTEN, Doings, Measurement, is_due
from labs.storage.services import workspace_record, workspaces_forget
from worker.hands import Hands
from worker.loops.idle import lab_terminals_write
from worker.loops.quotas import Limits
from worker.runtimes.base import Measured, RuntimeFault
from worker.runtimes.mounts import Room, own_name
from worker.spec import models_name, workspace_name, workspace_owner

log = logging.getLogger(__name__)
#: For the person who asks, so that they do not wait behind a round.
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storage")
#: For one workspace. What was counted by then is a lower bound, and said to be one.
DEADLINE_S = 300.0
#: A round ends after this; the next one looks anew at who is due.
ROUND_S = 60.0


def tick(*, hands: Hands, now: datetime, limits: Limits) -> int:
    """Set the limits that the file system keeps, and measure whoever is due, those who work first; how many were measured."""
    owners = _owners(hands)
    limits.keep(owners=owners, now=now)
    workspaces_forget(node_id=hands.node_id, kept=owners)
    hands.runtime.scratch_prune()
    until, measured = time.monotonic() + ROUND_S, 0
    for owner_id in _due(hands, owners, now, limits):
        if time.monotonic() > until:
            break
        measured += measure(hands=hands, owner_id=owner_id, limits=limits)
    _read(hands, limits, now)
    rooms_tell(hands=hands, now=now, limits=limits)
    return measured


def _read(hands: Hands, limits: Limits, now: datetime) -> None:
    """Write down what the file system says of those whose workspaces have changed since, or were not measured for long."""
    known = workspaces_on(node_id=hands.node_id)
    for owner_id in limits.kept.copy():
        found, row = limits.total(owner_id), known.get(owner_id)
        if found and (row is None or abs(found.size - row.size) >= MIB or now - row.measured_at >= OFTEN):
            _record(hands, owner_id, found)


def rooms_tell(*, hands: Hands, now: datetime, limits: Limits) -> None:
    """Tell the Jupyter of each running lab of the node what its owner holds and may hold."""
    labs = list(Lab.objects.filter(node_id=hands.node_id, state=states.RUNNING))
    if not labs:
        return
    owners = {lab.owner_id for lab in labs}
    held, allowed = disk_held(user_ids=owners), limits_of_people(users=User.objects.filter(pk__in=owners), now=now)
    for lab in labs:
        kept = limits.kept.get(lab.owner_id)
        most = allowed[lab.owner_id].disk_gib * GIB
        room = Room(held.get(lab.owner_id, Disk()).size, most, f"{settings.PORTAL_URL}/quota/", kept.limit if kept else 0)
        hands.runtime.room_tell(f"gpulab-{lab.pk}-{lab.attempt}", room)


def measure(*, hands: Hands, owner_id: int, limits: Limits | None = None) -> bool:
    """Count one person's workspace and write it down; False when that is going on already, or could not be done."""
    if not hands.take(f"storage:{owner_id}"):
        return False
    try:
        here, above = _held(hands, owner_id)
    except RuntimeFault as fault:
        log.warning("the workspace of person %d is not measured now: %s (%s)", owner_id, fault.words, fault.detail)
        return False
    finally:
        hands.release(f"storage:{owner_id}")
    if here is None:
        return False
    if limits:
        limits.counted(owner_id=owner_id, here=here, above=above, now=hands.clock())
    _record(hands, owner_id, (limits and limits.total(owner_id)) or _together(here, above), above.size if above else 0)
    return True


def _record(hands: Hands, owner_id: int, found: Measured, models: int | None = None) -> None:
    facts = {"size": found.size, "files": found.files, "whole": found.whole, "models_size": models}
    told = workspace_record(owner_id=owner_id, node_id=hands.node_id, now=hands.clock(), **facts)  # type: ignore[arg-type]
    if told:
        for lab in Lab.objects.filter(owner_id=owner_id, node_id=hands.node_id, state=states.RUNNING):
            lab_terminals_write(hands=hands, lab=lab, words=told)


def _held(hands: Hands, owner_id: int) -> tuple[Measured | None, Measured | None]:
    """The workspace, and what the person has written over the node's models; None for what is not there."""
    realm = _realm(hands)
    found = hands.runtime.workspace_measure(workspace_name(realm, owner_id), DEADLINE_S)
    return found, hands.runtime.workspace_measure(own_name(models_name(realm, owner_id)), DEADLINE_S) if found else None


def _together(found: Measured, above: Measured | None) -> Measured:
    if above is None:
        return found
    files = found.files + above.files if found.files is not None and above.files is not None else None
    return Measured(found.size + above.size, files, found.whole and above.whole)


def _due(hands: Hands, owners: set[int], now: datetime, limits: Limits) -> list[int]:
    """Owners whose workspace is to be counted now: those with labs first, then by how long ago it was."""
    known = measurements_on(node_id=hands.node_id)
    known |= {one: Measurement(limits.looked_at(one), known[one].asked_at if one in known else None) for one in limits.kept}
    live = set(Lab.objects.filter(owner_id__in=owners, state__in=states.LIVE).values_list("owner_id", flat=True))
    ended = dict(Lab.objects.filter(owner_id__in=owners, node_id=hands.node_id).order_by().values_list("owner_id").annotate(Max("ended_at")))
    often = dict.fromkeys(limits.kept, BESIDE)
    due = [one for one in owners if is_due(known.get(one, Measurement()), Doings(one in live, ended.get(one)), now, often.get(one, OFTEN))]
    never = datetime.min.replace(tzinfo=now.tzinfo)
    return sorted(due, key=lambda one: (one not in live, known.get(one, Measurement()).measured_at or never))


def _owners(hands: Hands) -> set[int]:
    """Whose workspaces are on this node."""
    realm = _realm(hands)
    return {owner for name in hands.runtime.workspaces() if (owner := workspace_owner(realm, name)) is not None}


def _realm(hands: Hands) -> str:
    return Node.objects.values_list("realm", flat=True).get(pk=hands.node_id)
