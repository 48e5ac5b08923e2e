"""Limits of workspaces that this node's file system keeps by itself: set from the record, and read for all in one call."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labs.fleet.models import Node
from labs.people.models import User
from labs.policy.queries import limits_of_people
from labs.storage.queries import Disk, disk_held, workspaces_on
from labs.storage.rules import MIB, files_of, room_of
from worker.hands import Hands
from worker.quotas.base import NONE, Held, QuotaFault, Quotas, number_of
from worker.runtimes.base import Measured, RuntimeFault
from worker.runtimes.places import Places
from worker.spec import workspace_name

log = logging.getLogger(__name__)
#: So much may be written or removed while a workspace is counted.
SLACK = 64 * MIB


@dataclass(frozen=True, slots=True)
class Wish:
    """What one workspace is to have."""

    folder: Path
    number: int
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Look:
    """What counting found beside that which bears the owner's number: the node's models, and what was taken out of it."""

    at: datetime
    size: int
    files: int | None


class Limits:
    """One node's. `kept`: what each owner's workspace holds as the file system says, and where it stops; nobody where it keeps no limits."""

    def __init__(self, *, hands: Hands, places: Places, quotas: Quotas) -> None:
        self.kept: dict[int, Held] = {}
        self._hands, self._places, self._quotas = hands, places, quotas
        self._folders: dict[int, Path] = {}
        self._looks: dict[int, Look] = {}

    def keep(self, *, owners: Collection[int], now: datetime) -> None:
        """See that each of these workspaces has its owner's limit, and read what they hold."""
        kept: dict[int, Held] = {}
        try:
            folders = {owner: folder for owner in owners if (folder := self._folder(owner))}
            if folders and self._quotas.lack(next(iter(folders.values()))) is None:
                kept = self._all_kept(self._wishes(folders, now))
        except (QuotaFault, RuntimeFault) as fault:
            log.warning("limits of workspaces are not kept now: %s", fault)
        self._looks = {owner: look for owner, look in self._looks.items() if owner in kept}
        self.kept = kept

    def looked_at(self, owner_id: int) -> datetime | None:
        """When its files were counted last; None is never, by this worker."""
        look = self._looks.get(owner_id)
        return look.at if look else None

    def total(self, owner_id: int) -> Measured | None:
        """What the owner holds on this node now, without counting; None where that cannot be said yet."""
        held, look = self.kept.get(owner_id), self._looks.get(owner_id)
        if held is None or look is None:
            return None
        return Measured(held.size + look.size, held.files + look.files if look.files is not None else None)

    def counted(self, *, owner_id: int, here: Measured, above: Measured | None, now: datetime) -> None:
        """The workspace was counted, and what is written over the models. What its owner took out of the project is taken back into it."""
        if owner_id not in self.kept:
            return
        number = number_of(User.objects.values_list("uid", flat=True).get(pk=owner_id))
        try:
            held = self._now(owner_id, number)
            if here.size > held.size + SLACK:
                log.warning("of the workspace of person %d, %d MiB are outside its limit: it is marked again", owner_id, (here.size - held.size) // MIB)
                self._quotas.mark(self._folders[owner_id], number)
                held = self._now(owner_id, number)
        except QuotaFault as fault:
            log.warning("the limit of person %d was not looked after: %s", owner_id, fault)
            return
        outside = max(here.size - held.size, 0) if here.size > held.size + SLACK else 0
        self._looks[owner_id] = Look(now, outside + (above.size if above else 0), above.files if above else 0)

    def _now(self, owner_id: int, number: int) -> Held:
        held = self._quotas.held(self._folders[owner_id]).get(number, Held(0, 0))
        self.kept = self.kept | {owner_id: held}  # another thread may be going through it
        return held

    def _folder(self, owner_id: int) -> Path | None:
        """Where the workspace is; asked once, as long as it is there."""
        known = self._folders.get(owner_id)
        if known is None or not known.is_dir():
            realm = Node.objects.values_list("realm", flat=True).get(pk=self._hands.node_id)
            known = self._places.folder(workspace_name(realm, owner_id), make=False)
            if known:
                self._folders[owner_id] = known
        return known

    def _wishes(self, folders: dict[int, Path], now: datetime) -> dict[int, Wish]:
        """Each owner's limit, less what they hold on other nodes, in snapshots and over models."""
        people = list(User.objects.filter(pk__in=folders))
        limits, all_held, here = limits_of_people(users=people, now=now), disk_held(user_ids=folders), workspaces_on(node_id=self._hands.node_id)
        found = {}
        for one in people:
            look, use = self._looks.get(one.pk), here.get(one.pk)
            elsewhere = all_held.get(one.pk, Disk()).size - (use.size if use else 0) + (look.size if look else 0)
            room = room_of(limits[one.pk].disk_gib, elsewhere)
            found[one.pk] = Wish(folders[one.pk], number_of(one.uid), room, files_of(room))
        return found

    def _all_kept(self, wishes: dict[int, Wish]) -> dict[int, Held]:
        if not wishes:
            return {}
        folders = [wish.folder for wish in wishes.values()]
        held, marked = self._quotas.held(folders[0]), self._quotas.numbers(folders)
        done = {owner for owner, wish in wishes.items() if self._set(wish, held.get(wish.number), marked.get(wish.folder, NONE))}
        now = self._quotas.held(folders[0])
        return {owner: now[wish.number] for owner, wish in wishes.items() if owner in done and wish.number in now}

    def _set(self, wish: Wish, held: Held | None, marked: int) -> bool:
        """Is it so now? A tree above its limit is marked only while it has none; what cannot be done for one holds up no other."""
        try:
            if marked != wish.number:
                self._quotas.allow(wish.folder, wish.number, size=0, files=0)
                self._quotas.mark(wish.folder, wish.number)
            if marked != wish.number or held is None or (held.limit, held.most) != (wish.size, wish.files):
                self._quotas.allow(wish.folder, wish.number, size=wish.size, files=wish.files)
        except QuotaFault as fault:
            log.warning("the limit of %s is measured, not kept: %s", wish.folder, fault)
            return False
        return True
