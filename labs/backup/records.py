"""Which records a backup holds, and how they go into a file and come back."""

from datetime import datetime
from itertools import islice
from typing import IO, Any

from django.apps import apps
from django.core import serializers
from django.core.management.color import no_style
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model

Record = type[Model]
#: Stay as they are in a restore: what they say of the present is truer than what a backup says of the past.
PRESENT = frozenset(
    {
        "contenttypes.ContentType",
        "auth.Permission",
        "sessions.Session",
        "usersessions.UserSession",
        "admin.LogEntry",
        "turns.Turn",
        "notices.Notice",
        "notices.Delivery",
        "people.DeviceLogin",
        "people.ApiRequest",
        "people.SshHostKey",
        "enrolment.Authority",
        "enrolment.JoinToken",
        "enrolment.Credential",
        "snapshots.Snapshot",
        "snapshots.Restore",
        "tidying.Chore",
        "storage.WorkspaceUse",
        "storage.DiskLevel",
    }
)
#: Emptied in a restore: every stray is met anew and has its whole grace, and nodes look at data sets again.
FORGOTTEN = frozenset({"quarantine.Stray", "datasets.DataCopy"})
#: What was made since the backup stays: containers, folders and cards hang on these.
GROWING = ("ledger.Event", "people.User", "fleet.Node", "fleet.Gpu")
BATCH = 500
#: Numbers that are skipped after a restore. A person made since the backup is unknown where the records were lost as
#: well, and nobody else may be given that number: their files are kept under it.
SKIPPED = 1000


def kept() -> list[Record]:
    """The records that a backup holds, in an order in which they can be read."""
    return [model for model in apps.get_models() if model._meta.label not in PRESENT | FORGOTTEN and model._meta.managed]


def part_name(model: Record) -> str:
    """Its part of the archive."""
    return f"records/{model._meta.label_lower}.jsonl"


class _Exact(DjangoJSONEncoder):
    """Moments to the microsecond: Django's own encoder rounds them, and the queue is in the order of asking."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


def records_write(model: Record, file: IO[str]) -> int:
    """Write every row as a line of JSON; how many."""
    rows = model._base_manager.order_by("pk")
    serializers.serialize("jsonl", rows.iterator(chunk_size=BATCH), stream=file, cls=_Exact)
    return rows.count()


def records_clear() -> None:
    """Remove what a restore brings back. Foreign keys are judged when the transaction ends."""
    with connection.cursor() as cursor:
        for model in (*kept(), *(apps.get_model(label) for label in FORGOTTEN)):
            if model._meta.label not in GROWING:
                for table in (*(field.m2m_db_table() for field in model._meta.local_many_to_many), model._meta.db_table):
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a table of our own models


def records_read(model: Record, file: IO[bytes]) -> int:
    """Bring back every row of a part; how many. Rows of growing records that are there are set to what they were."""
    count = 0
    lines = serializers.deserialize("jsonl", file)
    while batch := list(islice(lines, BATCH)):
        _batch_write(model, [one.object for one in batch])
        for one in batch:
            for name, values in (one.m2m_data or {}).items():
                getattr(one.object, name).set(values)
        count += len(batch)
    return count


def _batch_write(model: Record, rows: list[Any]) -> None:
    if model._meta.label == "ledger.Event":  # append-only: what is there was there
        model._base_manager.bulk_create(rows, ignore_conflicts=True)
    elif model._meta.label in GROWING:
        fields = [field.attname for field in model._meta.concrete_fields if not field.primary_key]
        model._base_manager.bulk_create(rows, update_conflicts=True, unique_fields=["pk"], update_fields=fields)
    else:
        _exactly_written(model, rows)


def _exactly_written(model: Record, rows: list[Any]) -> None:
    """New rows, with their moments: a library's record that writes the time of each saving by itself is told its own again."""
    clocked = [field.attname for field in model._meta.concrete_fields if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)]
    moments = {row.pk: {name: getattr(row, name) for name in clocked} for row in rows}
    model._base_manager.bulk_create(rows)
    for pk, values in moments.items() if clocked else ():
        model._base_manager.filter(pk=pk).update(**values)


def numbers_continue() -> None:
    """Let new rows go on after the highest number, and skip some for people."""
    counted = kept()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), counted):
            cursor.execute(statement)
        cursor.execute(*_skip(apps.get_model("people.User")._meta.db_table))


def _skip(table: str) -> tuple[str, list[str | int]]:
    if connection.vendor == "postgresql":
        top = f"(SELECT coalesce(max(id), 0) + %s FROM {connection.ops.quote_name(table)})"  # noqa: S608 - a table of our own models
        return f"SELECT setval(pg_get_serial_sequence(%s, 'id'), {top})", [table, SKIPPED]
    return "UPDATE sqlite_sequence SET seq = seq + %s WHERE name = %s", [SKIPPED, table]
