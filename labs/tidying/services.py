"""Saying what is to be tidied, having it done, and writing down what was."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.files.services import desk_chore
from labs.fleet.models import Node
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import User
from labs.storage.models import WorkspaceUse
from labs.tidying.models import Chore, Wish
from labs.tidying.queries import chores_planned, was_shown, wish_of
from labs.tidying.rules import (
    ASKED,
    BY_HAND,
    BY_RULE,
    CACHE_WORDS,
    CACHES,
    CHECKPOINTS,
    DONE,
    FAILED,
    FOLDERS_MOST,
    GREATEST,
    LOOK,
    METRIC,
    NEWEST_MOST,
    PATIENCE,
    SMALLEST,
    WHOSE,
    Keep,
    folder_check,
)

#: So many of a person's are kept.
REMEMBERED = 40
LATE = "Your files could not be opened in time: the machine was away or busy."
NOTHING = "You have no workspace that was measured yet: it is made with your first lab, and measured a minute later."


def keep_save(*, user: User, folders: Sequence[str], keep: Keep, now: datetime) -> Wish:
    """Say which checkpoints stay. Nothing is removed by itself from now on, until what would go was looked at and it is switched on again."""
    names = _folders(folders)
    if not 1 <= keep.newest <= NEWEST_MOST:
        raise Refused(f"Keep 1 to {NEWEST_MOST}.", field="newest")
    if keep.metric and not METRIC.fullmatch(keep.metric):
        raise Refused("Letters, digits and underscores, as val_loss.", field="metric")
    if keep.direction not in (SMALLEST, GREATEST):
        raise Refused("Is the smallest or the greatest the best?", field="direction")
    said: dict[str, Any] = {"folders": names, "newest": keep.newest, "metric": keep.metric, "direction": keep.direction, "on": False, "changed_at": now}
    with transaction.atomic():
        wish, _ = Wish.objects.update_or_create(owner=user, defaults=said, create_defaults={**said, "caches_at": now})
        best = f", and the best by {keep.metric}" if keep.metric else ""
        words = f"{user} said that the newest {keep.newest} checkpoints stay{best} in {', '.join(names)}. Nothing is removed by itself."
        event_record(kind="tidy.keep", subject=f"person:{user.pk}", words=words, actor=user, now=now)
    return wish


def keep_switch(*, user: User, on: bool, now: datetime) -> None:
    """Have older checkpoints removed by themselves, or not. Refused before what would go was looked at."""
    with transaction.atomic():
        wish = Wish.objects.select_for_update().filter(owner=user).first()
        if wish is None or (on and not was_shown(wish=wish)):
            raise Refused("Save which checkpoints stay, and look at what would go, before you switch it on.", code="state")
        if not Wish.objects.filter(pk=wish.pk, on=not on).update(on=on):
            return
        words = f"{user} {'has older checkpoints removed by themselves' if on else 'has no checkpoints removed by themselves any more'}."
        event_record(kind="tidy.switch", subject=f"person:{user.pk}", words=words, actor=user, now=now)


def caches_save(*, user: User, names: Iterable[str], now: datetime) -> None:
    """Say which caches are emptied when the last lab on a node has ended; none is not at all."""
    known = sorted(set(names))
    if not set(known) <= set(CACHE_WORDS):
        raise Refused("There is no such cache.", field="caches")
    with transaction.atomic():
        said: dict[str, Any] = {"caches": known, "caches_at": now}
        Wish.objects.update_or_create(owner=user, defaults=said, create_defaults={**said, "changed_at": now})
        words = f"{user} has caches emptied at labs' ends: {', '.join(known) or 'none'}."
        event_record(kind="tidy.caches", subject=f"person:{user.pk}", words=words, actor=user, now=now)


def chore_ask(*, user: User, node_id: str, kind: str, now: datetime, caches: Sequence[str] = ()) -> Chore:
    """Have it done now. Refused while it is under way, without a workspace there, and where one's files cannot be opened now."""
    node = Node.objects.filter(pk=node_id, workspaces__owner=user).first()
    if node is None:
        raise Refused(NOTHING, code="state")
    if kind == CHECKPOINTS and not was_shown(wish=wish_of(user=user, now=now)):
        raise Refused("Look at what would go first.", code="state")
    if not set(caches) <= set(CACHE_WORDS) or (kind == CACHES and not caches):
        raise Refused("Say which caches.", code="state")
    if words := desk_chore(owner=user, node=node, now=now):
        raise Refused(words, code="state")
    made = _made(wish_of(user=user, now=now), node_id, kind, BY_HAND, now, caches)
    if made is None:
        raise Refused("That is being done already.", code="state")
    return made


def looks_ask(*, user: User, now: datetime) -> int:
    """Look at everything that the person's workspaces hold of checkpoints and caches; on how many nodes. Refused where there is no workspace."""
    nodes = list(WorkspaceUse.objects.filter(owner=user).order_by("node_id").values_list("node_id", flat=True))
    if not nodes:
        raise Refused(NOTHING, code="state")
    # One that is under way was asked with the words of before: it says nothing of these.
    Chore.objects.filter(owner=user, kind=LOOK, state=ASKED).delete()
    for node_id in nodes:
        chore_ask(user=user, node_id=node_id, kind=LOOK, now=now)
    return len(nodes)


def chores_plan(*, now: datetime) -> int:
    """Ask for what is due by people's rules, open the files of those that wait, and give up what waits too long; how many are new."""
    made = 0
    for wish, node_id, kind in chores_planned(now=now):
        made += _made(wish, node_id, kind, BY_RULE, now, wish.caches) is not None
    for chore in Chore.objects.select_related("owner", "node").filter(state=ASKED):
        if now - chore.asked_at > PATIENCE or not chore.owner.is_active:
            chore_failed(chore=chore, words=LATE, now=now)
        else:
            desk_chore(owner=chore.owner, node=chore.node, now=now)
    return made


def chore_done(*, chore: Chore, found: dict[str, Any], count: int = 0, freed: int = 0, now: datetime) -> bool:
    """The node's fact. False when it was given up meanwhile."""
    with transaction.atomic():
        facts = {"state": DONE, "found": found, "count": count, "freed": freed, "ended_at": now}
        if not Chore.objects.filter(pk=chore.pk, state=ASKED).update(**facts):
            return False
        if count or freed:
            event_record(kind=f"disk.{chore.kind}", subject=f"person:{chore.owner_id}", words=_words(chore, count, freed), actor=None, now=now, freed=freed)
        publish(f"person.{chore.owner_id}", "disk")
    return True


def chore_failed(*, chore: Chore, words: str, now: datetime) -> None:
    """It was not done, and why."""
    Chore.objects.filter(pk=chore.pk, state=ASKED).update(state=FAILED, words=words[:300], ended_at=now)
    publish(f"person.{chore.owner_id}", "disk")


def chores_forget() -> int:
    """Let go of what nobody asks about: all but each person's newest, and of each kind the last on each node. How many."""
    gone: list[int] = []
    kept: dict[int, int] = {}
    seen: set[tuple[int, str, str]] = set()
    for number, owner, node, kind, count, freed in Chore.objects.exclude(state=ASKED).values_list("pk", "owner_id", "node_id", "kind", "count", "freed"):
        last = (owner, node, kind) not in seen
        seen.add((owner, node, kind))
        if last or ((count or freed) and kept.get(owner, 0) < REMEMBERED):
            kept[owner] = kept.get(owner, 0) + 1
        else:
            gone.append(number)
    return Chore.objects.filter(pk__in=gone).delete()[0]


def _made(wish: Wish, node_id: str, kind: str, why: str, now: datetime, caches: Sequence[str]) -> Chore | None:
    """None where it is under way."""
    given = {"folders": wish.folders, "newest": wish.newest, "metric": wish.metric, "direction": wish.direction, "caches": list(caches)}
    try:
        with transaction.atomic():
            row = Chore.objects.create(owner_id=wish.pk, node_id=node_id, kind=kind, why=why, given=given, asked_at=now)
            ring("worker.chores", queue=node_queue(node_id))
            publish(f"person.{wish.pk}", "disk")
    except IntegrityError:
        return None
    return row


def _folders(folders: Iterable[str]) -> list[str]:
    try:
        names = list(dict.fromkeys(folder_check(folder) for folder in folders if folder.strip()))
    except ValueError as error:
        raise Refused(str(error), field="folders") from error
    if not 1 <= len(names) <= FOLDERS_MOST:
        raise Refused(f"Name 1 to {FOLDERS_MOST} folders, one a line.", field="folders")
    return names


def _words(chore: Chore, count: int, freed: int) -> str:
    mib = f"{freed / 1024**2:,.0f} MiB"
    if chore.kind == CHECKPOINTS:
        return f"{count} older checkpoints of {chore.owner} on {chore.node_id}, {mib}, went into the trash: {WHOSE[chore.why]}."
    return f"Caches of {chore.owner} on {chore.node_id} were emptied, {mib} came free: {WHOSE[chore.why]}."
