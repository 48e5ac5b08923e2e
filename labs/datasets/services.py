"""Registering data sets, retiring them, and writing down what nodes find."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from labs.bus.doorbell import node_queue, ring
from labs.datasets.models import DataCopy, DataSet
from labs.datasets.rules import NAME, RESERVED, VERSION, source_fault
from labs.fleet.queries import nodes_all
from labs.ledger.services import event_record
from labs.people.errors import Refused
from labs.people.models import Group, User


@dataclass(frozen=True, slots=True)
class NewData:
    """A version of a data set as an administrator registers it."""

    name: str
    version: str
    title: str
    licence: str
    answers_for: str
    backend: str
    source: str
    about: str = ""
    encrypted_only: bool = False


def data_set_register(*, new: NewData, groups: Iterable[Group], actor: User, now: datetime) -> DataSet:
    """Offer a data set. Each node looks at it first; labs that start after that see it. Refused, in words, where a name or a place is none."""
    _check(new)
    try:
        with transaction.atomic():
            made = DataSet.objects.create(
                name=new.name,
                version=new.version,
                title=new.title,
                about=new.about,
                licence=new.licence,
                answers_for=new.answers_for,
                backend=new.backend,
                source=new.source,
                encrypted_only=new.encrypted_only,
                registered_by=actor,
                registered_at=now,
            )
            made.groups.set(groups)
            whom = ", ".join(str(one) for one in groups) or "everybody"
            where = ", only on nodes whose workspaces lie encrypted" if made.encrypted_only else ""
            words = f"{made} was registered for {whom}{where}: {made.get_backend_display()}, {made.source}."
            event_record(kind="data.registered", subject=made.subject, words=words, actor=actor, now=now)
            _ring()
    except IntegrityError as error:
        raise Refused(f"{new.name}@{new.version} is registered already. Files that changed are a new version.", field="version") from error
    return made


def _check(new: NewData) -> None:
    if not NAME.fullmatch(new.name) or new.name == RESERVED:
        raise Refused("Small letters, digits and hyphens, at most 40; “shared” is taken. It becomes the folder /data/NAME.", field="name")
    if not VERSION.fullmatch(new.version):
        raise Refused("Small letters, digits, dots and hyphens, at most 20, such as 2 or 2026-10.", field="version")
    fault = source_fault(new.backend, new.source)
    if fault:
        raise Refused(fault, field="source")


def data_set_groups_set(*, data_set: DataSet, groups: Iterable[Group], actor: User, now: datetime) -> None:
    """Who may use it from now on; nobody named: everybody. Labs that run keep what they have."""
    with transaction.atomic():
        data_set.groups.set(groups)
        whom = ", ".join(str(one) for one in groups) or "everybody"
        event_record(kind="data.groups", subject=data_set.subject, words=f"{data_set} is for {whom} now.", actor=actor, now=now)


def data_set_encrypted_set(*, data_set: DataSet, encrypted_only: bool, actor: User, now: datetime) -> bool:
    """Show it only on nodes whose workspaces lie encrypted, or everywhere. Labs that run keep what they have. False when it is so already."""
    with transaction.atomic():
        if not DataSet.objects.filter(pk=data_set.pk).exclude(encrypted_only=encrypted_only).update(encrypted_only=encrypted_only):
            return False
        DataCopy.objects.filter(data_set=data_set).update(asked_at=now)
        where = "only on nodes whose workspaces lie encrypted" if encrypted_only else "also on nodes whose workspaces do not lie encrypted"
        event_record(kind="data.encrypted", subject=data_set.subject, words=f"Labs see {data_set} {where}.", actor=actor, now=now)
        _ring()
        ring("worker.schedule")
    data_set.encrypted_only = encrypted_only
    return True


def data_set_retire(*, data_set: DataSet, retired: bool, actor: User, now: datetime) -> None:
    """No new lab sees it, or new ones see it again. Its files stay where they are."""
    with transaction.atomic():
        DataSet.objects.filter(pk=data_set.pk).update(retired_at=now if retired else None)
        words = f"{data_set} was retired." if retired else f"{data_set} is offered again."
        event_record(kind="data.retired", subject=data_set.subject, words=words, actor=actor, now=now)
        _ring()


def data_set_look_ask(*, data_set: DataSet, actor: User, now: datetime) -> None:
    """Ask every node to look at it again."""
    with transaction.atomic():
        DataCopy.objects.filter(data_set=data_set).update(asked_at=now)
        event_record(kind="data.look", subject=data_set.subject, words=f"{data_set} is looked at again on every node.", actor=actor, now=now)
        _ring()


def data_copy_ready(*, data_set_id: int, node_id: str, size: int, files: int, checksum: str, now: datetime) -> None:
    """The node has it: bytes, files, and the checksum of all of them."""
    _record(data_set_id, node_id, now, state=DataCopy.State.READY, words="", size=size, files=files, checksum=checksum)


def data_copy_failed(*, data_set_id: int, node_id: str, words: str, now: datetime) -> None:
    """The node has it not, and why."""
    _record(data_set_id, node_id, now, state=DataCopy.State.FAILED, words=words[:300])


def checksums_settle() -> int:
    """The first copy that was measured says what the set is; how many were settled. For the house's own worker: no node says it for others."""
    settled = 0
    for one in DataSet.objects.filter(checksum="", copies__state=DataCopy.State.READY).distinct():
        first = one.copies.filter(state=DataCopy.State.READY).exclude(checksum="").order_by("pk").first()
        if first is not None:
            settled += DataSet.objects.filter(pk=one.pk, checksum="").update(checksum=first.checksum)
    return settled


def _record(data_set_id: int, node_id: str, now: datetime, **values: object) -> None:
    DataCopy.objects.update_or_create(data_set_id=data_set_id, node_id=node_id, defaults=values | {"looked_at": now})


def _ring() -> None:
    for node in nodes_all():
        ring("worker.datasets", queue=node_queue(node.pk))
