"""Which data sets there are, and which a person's labs see on a node."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import F, Max, Q, QuerySet

from labs.datasets.models import DataCopy, DataSet
from labs.datasets.rules import Shelf, barred_words, lacking, matching, targets
from labs.fleet.models import Node
from labs.people.models import User
from labs.people.queries import group_ids_with_ancestors, groups_by_person
from labs.scheduler.snapshot import NodeView, Waiting

#: What is ready is looked at again so often; what is not there, sooner.
ANEW, SOONER = timedelta(days=7), timedelta(minutes=10)


def data_sets_for(*, user: User) -> QuerySet[DataSet]:
    """Those that the person may use, newest version first; retired ones are not among them."""
    mine = DataSet.groups.through.objects.filter(group_id__in=group_ids_with_ancestors(user=user)).values("dataset_id")
    limited = DataSet.groups.through.objects.values("dataset_id")
    return DataSet.objects.filter(Q(pk__in=mine) | ~Q(pk__in=limited), retired_at=None)


def data_seen(*, user: User, node_id: str) -> dict[str, DataSet]:
    """Folder of a lab on the node -> data set: what is ready there, and is what was measured first."""
    ready = DataCopy.objects.filter(Q(data_set__encrypted_only=False) | Q(node__encrypts=True), node_id=node_id, state=DataCopy.State.READY)
    same = ready.filter(Q(data_set__checksum="") | Q(checksum=F("data_set__checksum")))
    found = {(one.name, one.version): one for one in data_sets_for(user=user).filter(pk__in=same.values("data_set_id"))}
    return {target: found[key] for target, key in targets(list(found)).items()}


def data_usable(*, user: User) -> list[tuple[DataSet, int]]:
    """The person's data sets that are ready anywhere, each with its size in bytes."""
    rows = data_sets_for(user=user).filter(copies__state=DataCopy.State.READY).annotate(size=Max("copies__size"))
    return [(row, row.size) for row in rows]


def shelves_for(*, user: User) -> list[Shelf]:
    """The versions that the person may use, newest first, and where each is; in one query where all are everybody's."""
    shelves = _shelves()
    groups = group_ids_with_ancestors(user=user) if any(one.groups for one in shelves) else ()
    return [one for one in shelves if one.is_for(groups)]


def data_unknown(*, user: User, wanted: Sequence[str]) -> str:
    """The first of the names that is no set of the person's; empty when all are."""
    shelves = shelves_for(user=user) if wanted else []
    return next((one for one in wanted if not matching(one, shelves)), "")


def waiting_for_data(*, labs: Iterable[Waiting], nodes: Sequence[NodeView]) -> tuple[Waiting, ...]:
    """The labs, those that ask for data with the nodes that lack some of it. No query where none does."""
    labs = tuple(labs)
    owners = {lab.owner_id for lab in labs if lab.data and not lab.placed}
    if not owners:
        return labs
    shelves = _shelves()
    groups, names = groups_by_person(user_ids=owners), {node.id: node.name for node in nodes}
    own = {owner: [one for one in shelves if one.is_for(groups.get(owner, ()))] for owner in owners}
    return tuple(replace(lab, lacks=lacking(lab.data, own[lab.owner_id], names)) if lab.data and not lab.placed else lab for lab in labs)


def _shelves() -> list[Shelf]:
    """In one query: each version that is offered, with its groups and what every node says of it."""
    found: dict[int, Shelf] = {}
    names = ("pk", "name", "version", "title", "licence", "encrypted_only", "checksum")
    copies = ("copies__node_id", "copies__node__encrypts", "copies__state", "copies__words", "copies__size", "copies__checksum")
    rows = DataSet.objects.filter(retired_at=None).values_list("groups", *names, *copies)
    for group, pk, name, version, title, licence, strict, checksum, node, encrypts, state, words, size, read in rows:
        one = found.get(pk) or Shelf(name, version, title, licence, 0, frozenset(), {}, strict)
        if group is not None:
            one = replace(one, groups=one.groups | {group})
        if node is not None:
            place = (strict and barred_words(encrypts)) or _place(state, words, checksum, read)
            one = replace(one, size=max(one.size, size), places={**one.places, node: place})
        found[pk] = one
    return list(found.values())


def data_barred(*, data_set: DataSet, node_id: str) -> str:
    """Why no lab on the node sees it, where it asks for encrypted workspaces; empty where nothing is against it."""
    if not data_set.encrypted_only:
        return ""
    return barred_words(Node.objects.values_list("encrypts", flat=True).get(pk=node_id))


def _place(state: str, words: str, checksum: str, read: str) -> str:
    if state != DataCopy.State.READY:
        return words or "it could not be read."
    return "its files are other ones than those that were registered." if checksum and read != checksum else ""


def data_sets_all() -> Sequence[DataSet]:
    """Every version of every set, with where it is."""
    return list(DataSet.objects.prefetch_related("groups", "copies__node").select_related("registered_by"))


def data_set_by_id(*, data_set_id: int) -> DataSet:
    """One; DoesNotExist where there is none."""
    return DataSet.objects.get(pk=data_set_id)


def data_due(*, node_id: str, now: datetime) -> list[DataSet]:
    """What this node is to look at now: what it does not know, was asked for, is not there yet, or was looked at long ago."""
    known = DataCopy.objects.filter(node_id=node_id)
    fresh = Q(state=DataCopy.State.READY, looked_at__gt=now - ANEW) | Q(state=DataCopy.State.FAILED, looked_at__gt=now - SOONER)
    rest = known.filter(fresh).exclude(asked_at__gt=F("looked_at"))
    return list(DataSet.objects.filter(retired_at=None).exclude(pk__in=rest.values("data_set_id")).order_by("pk"))
