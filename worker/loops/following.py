"""Snapshots follow a workspace that was moved: carried by the house's worker as the workspace was, compared, and only then said to be there."""

import logging
import subprocess
from datetime import datetime
from functools import partial

from labs.fleet.models import Node
from labs.relocation.models import Relocation
from labs.relocation.queries import moves_unfollowed
from labs.relocation.services import follow_begin, follow_done, follow_failed
from worker.carrying.here import Stuck
from worker.loops import moving
from worker.loops.moving import Carrier, pool

log = logging.getLogger(__name__)


def tick(*, carrier: Carrier, now: datetime) -> int:
    """One round of moves, and of what follows those that were made; how many are gone on with."""
    begun = moving.tick(carrier=carrier, now=now)
    rows = moves_unfollowed(now=now)
    return begun + sum(carrier.hands.once(pool, f"move:{row.pk}", partial(follow, move=row, carrier=carrier)) for row in rows)


def follow(*, move: Relocation, carrier: Carrier) -> None:
    """Bring them. Files that are left where they were are removed there by that node's worker, which knows them no more."""
    clock = carrier.hands.clock
    begun = follow_begin(move_id=move.pk, now=clock())
    if begun is None:
        return
    tries, count = begun
    try:
        if count:
            _brought(move, carrier, tries, count)
    except Stuck as stuck:
        log.warning("the snapshots of the move %s stand still: %s", move, stuck.words)
        follow_failed(move_id=move.pk, words=stuck.words, final=stuck.final, now=clock())
        return
    except (OSError, subprocess.SubprocessError) as error:
        log.exception("the snapshots of the move %s stand still", move)
        follow_failed(move_id=move.pk, words=f"The disk of this host did not do it: {error}", final=False, now=clock())
        return
    follow_done(move_id=move.pk, now=clock())


def _brought(move: Relocation, carrier: Carrier, tries: int, count: int) -> None:
    for node in (move.source, move.destination):
        if node.state == Node.State.GONE:
            raise Stuck(f"Node {node} was given up.", final=True)
    source, destination = carrier.kept(move, move.source, tries), carrier.kept(move, move.destination, tries)
    size = source.size()
    if size.files <= count:  # the folder itself is one
        raise Stuck(f"Node {move.source} does not have the files of all {count} snapshots any more.", final=True)
    destination.room_check(size)
    with source.packed() as chunks:
        destination.unpack(chunks)
    if source.digest().digest != destination.digest().digest:
        raise Stuck("What arrived is not what was sent. It is carried again.")
    destination.land()
