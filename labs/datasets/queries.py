"""Which data sets there are, and which a person's labs see on a node."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F, Max, Q, QuerySet

from labs.datasets.models import DataCopy, DataSet
from labs.datasets.rules import targets
from labs.people.models import User
from labs.people.queries import group_ids_with_ancestors

#: What is ready is looked at again so often; what is not there, sooner.
ANEW, SOONER = timedelta(days=7), timedelta(minutes=10)


def data_sets_for(*, user: User) -> QuerySet[DataSet]:
    """Those that the person may use, newest version first; retired ones are not among them."""
    mine = DataSet.groups.through.objects.filter(group_id__in=group_ids_with_ancestors(user=user)).values("dataset_id")
    limited = DataSet.groups.through.objects.values("dataset_id")
    return DataSet.objects.filter(Q(pk__in=mine) | ~Q(pk__in=limited), retired_at=None)


def data_seen(*, user: User, node_id: str) -> dict[str, DataSet]:
    """Folder of a lab on the node -> data set: what is ready there, and is what was measured first."""
    ready = DataCopy.objects.filter(node_id=node_id, state=DataCopy.State.READY)
    same = ready.filter(Q(data_set__checksum="") | Q(checksum=F("data_set__checksum")))
    found = {(one.name, one.version): one for one in data_sets_for(user=user).filter(pk__in=same.values("data_set_id"))}
    return {target: found[key] for target, key in targets(list(found)).items()}


def data_usable(*, user: User) -> list[tuple[DataSet, int]]:
    """The person's data sets that are ready anywhere, each with its size in bytes."""
    rows = data_sets_for(user=user).filter(copies__state=DataCopy.State.READY).annotate(size=Max("copies__size"))
    return [(row, row.size) for row in rows]


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
