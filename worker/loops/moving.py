"""Carrying workspaces between nodes: one worker of the house does it, by way of the relays of the nodes at both ends.

copying (again from the beginning after every fault, under a new number) -> the copy is read back and compared -> landing (put in place, the other copy set
aside) -> moved. A worker that dies between two steps leaves a state from which another goes on; until `landing` the source's copy is the one that
counts, from `moved` on the destination's, and between them no lab of the owner runs.
"""

import logging
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from django.conf import settings

from labs.files.queries import desk_owners
from labs.fleet.models import Node
from labs.lifecycle.at_rest import barred_from
from labs.lifecycle.relocations import moves_ready
from labs.relocation import rules
from labs.relocation.models import Relocation
from labs.relocation.queries import moves_untidy
from labs.relocation.services import move_begin, move_copied, move_done, move_failed, move_progress, move_tidied, move_tidy_later
from worker.carrying.here import Here, Stuck
from worker.carrying.kept import Kept
from worker.carrying.there import KEPT, There
from worker.hands import Hands
from worker.keeping import snapshot_folder
from worker.runtimes.base import RuntimeFault
from worker.runtimes.places import Places
from worker.spec import workspace_name

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=3, thread_name_prefix="moving")
#: How often the record hears how far a copy is.
SAID_S = 2.0
End = Here | There


class Superseded(Exception):
    """The move was called off, or somebody else goes on with it."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What this worker carries with: its own node's places, and how it shows other nodes' relays that it is of the house."""

    hands: Hands
    places: Places
    tls: Callable[[], ssl.SSLContext]

    def end(self, move: Relocation, node: Node, tries: int) -> End:
        """One end of one try."""
        if node.pk == self.hands.node_id:
            return here(places=self.places, node=node, owner_id=move.owner_id, mark=move.pk, tries=tries, uid=move.owner.uid)
        return self._there(move, node, str(move.pk), tries)

    def kept(self, move: Relocation, node: Node, tries: int) -> End:
        """One end of one try to bring the snapshots after it."""
        if node.pk == self.hands.node_id:
            return kept_here(folder=settings.SNAPSHOTS, node=node, owner_id=move.owner_id, mark=move.pk, tries=tries, uid=move.owner.uid)
        return self._there(move, node, f"{KEPT}{move.pk}", tries)

    def _there(self, move: Relocation, node: Node, mark: str, tries: int) -> There:
        host, _, port = node.relay_address.rpartition(":")
        if not host:
            raise Stuck(f"Node {node} has no relay that the house reaches, so nothing can be carried there.", final=True)
        return There(node.name, node.pk, (host.strip("[]"), int(port)), self.tls(), mark, tries, move.owner.uid)


def here(*, places: Places, node: Node, owner_id: int, mark: int, tries: int, uid: int) -> Here:
    """This node's own end of a move."""
    name = workspace_name(node.realm, owner_id)

    def find(make: bool) -> Path | None:
        try:
            return places.folder(name, make=make)
        except RuntimeFault as fault:
            raise Stuck(fault.words, final=not fault.transient) from fault

    return Here(name=node.name, mark=str(mark), tries=tries, uid=uid, find=find, drop=lambda: places.drop(name))


def kept_here(*, folder: Path, node: Node, owner_id: int, mark: int, tries: int, uid: int) -> Kept:
    """This node's own end of bringing a person's snapshots, which it keeps below `folder`."""
    place = folder / workspace_name(node.realm, owner_id)

    def find(make: bool) -> Path | None:
        if make:
            snapshot_folder(place)
        return place if make or place.is_dir() else None

    return Kept(name=node.name, mark=str(mark), tries=tries, uid=uid, find=find, drop=lambda: None)


def tick(*, carrier: Carrier, now: datetime) -> int:
    """One round; how many moves are gone on with. Each is carried in a thread, as long as it takes."""
    hands = carrier.hands
    ready = [move for move in moves_ready(now=now) if not _is_open(move)]
    begun = sum(hands.once(pool, f"move:{move.pk}", partial(go_on, move=move, carrier=carrier)) for move in ready)
    for move in moves_untidy(now=now):
        hands.once(pool, f"move:{move.pk}", partial(tidy, move=move, carrier=carrier))
    return begun


def _is_open(move: Relocation) -> bool:
    """Has its owner the files of either end open? Their file page is closed first."""
    return any(move.owner_id in desk_owners(node_id=node) for node in (move.source_id, move.destination_id))


def go_on(*, move: Relocation, carrier: Carrier) -> None:
    """Take the move as far as it goes now. What stands in the way is written down, and tried again later where that may help."""
    clock = carrier.hands.clock
    try:
        _gone_check(move, carrier)
        if move.state == rules.LANDING or _copied(move, carrier):
            _land(move, carrier)
            move_done(move_id=move.pk, now=clock())
    except Superseded:
        log.info("the move %s goes on elsewhere, or was called off", move)
    except Stuck as stuck:
        log.warning("the move %s stands still: %s", move, stuck.words)
        move_failed(move_id=move.pk, words=stuck.words, final=stuck.final, now=clock())
    except (OSError, subprocess.SubprocessError) as error:
        log.exception("the move %s stands still", move)
        move_failed(move_id=move.pk, words=f"The disk of this host did not do it: {error}"[:300], final=False, now=clock())


def tidy(*, move: Relocation, carrier: Carrier) -> None:
    """Remove the copy that does not count; later, where its node is away."""
    node, clock = move.source if move.state == rules.MOVED else move.destination, carrier.hands.clock
    try:
        if node.state != Node.State.GONE:
            carrier.end(move, node, move.tries).tidy()
        move_tidied(move_id=move.pk, now=clock())
    except (Stuck, OSError, subprocess.SubprocessError) as stuck:
        log.warning("what the move %s left on %s stays there: %s", move, node, stuck)
        move_tidy_later(move_id=move.pk, now=clock())


def _gone_check(move: Relocation, carrier: Carrier) -> None:
    """Give up what one end can no more be asked for, with the source's copy as the workspace again."""
    for node in (move.source, move.destination):
        if node.state == Node.State.GONE and (move.state != rules.LANDING or node == move.destination):
            if move.state == rules.LANDING:
                carrier.end(move, move.source, move.tries).put_back()
            words = f"Node {node} was given up."
            move_failed(move_id=move.pk, words=words, final=True, landing=True, now=carrier.hands.clock())
            raise Superseded


def _copied(move: Relocation, carrier: Carrier) -> bool:
    """Copy the workspace beside its new place, and see that it arrived as it was. False where it is not to be moved any more."""
    if barred := barred_from(owner_id=move.owner_id, node_id=move.destination_id):
        raise Stuck(barred, final=True)
    tries = move_begin(move_id=move.pk, now=carrier.hands.clock())
    if tries is None:
        return False
    move.tries = tries
    source, destination = carrier.end(move, move.source, tries), carrier.end(move, move.destination, tries)
    size = source.size()
    destination.room_check(size)
    with source.packed() as chunks:
        destination.unpack(_told(chunks, move, size.size))
    sent, arrived = source.digest(), destination.digest()
    if sent.digest != arrived.digest:
        raise Stuck("What arrived is not what was sent. It is carried again.")
    if not move_copied(move_id=move.pk, tries=tries):
        raise Superseded
    return True


def _told(chunks: Iterator[bytes], move: Relocation, total: int) -> Iterator[bytes]:
    """The stream, while the record is told how far it is. Raises Superseded once it is not ours any more."""
    done, next_at = 0, 0.0
    for chunk in chunks:
        done += len(chunk)
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + SAID_S
            if not move_progress(move_id=move.pk, tries=move.tries, done=done, total=total):
                raise Superseded
        yield chunk


def _land(move: Relocation, carrier: Carrier) -> None:
    carrier.end(move, move.destination, move.tries).land()
    if move.source.state != Node.State.GONE:
        carrier.end(move, move.source, move.tries).set_aside()
