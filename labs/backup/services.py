"""Saving the house's records and bringing them back, also under running labs.

The files of people are not in it: they are volumes on the nodes, and a list of those is. What a backup does hold is as
secret as the database: digests of passwords and tokens, and second factors.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.db import IntegrityError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max, Model

from labs.backup.archive import FORMAT, MANIFEST, BadArchive, archive_new, archive_open, json_add, manifest_read, part_add, part_open
from labs.backup.records import kept, numbers_continue, part_name, records_clear, records_read, records_write
from labs.ledger.models import Event
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import User
from labs.turns.services import turn_seize

#: A running lab has at least so long after a restore: its owner may have extended it since.
LEAST_LEFT = timedelta(hours=1)
#: How long no lab is placed after a restore, so that nodes tell first what runs on them, seconds.
QUIET_S = 30.0
#: Kinds of events that a restore undoes and that somebody should look through.
UNDONE = ("person.", "token.", "key.", "quota.", "image.", "invitation.")
MOST_UNDONE = 100


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished backup: how many records, how many volumes are listed, bytes."""

    records: int
    volumes: int
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: `undone` are the words of events since the backup that no longer hold."""

    made_at: datetime
    records: int
    labs_extended: int
    people_kept: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)


def backup_write(*, path: Path, settings_shown: Mapping[str, str], now: datetime) -> Saved:
    """Write every record as of one moment. FileExistsError when the file is there; a half one never bears the name."""
    with transaction.atomic(durable=True):
        _one_moment()
        volumes = volumes_list()
        with archive_new(path) as archive:
            counts = {}
            for model in kept():
                with tempfile.TemporaryFile() as file, io.TextIOWrapper(file, encoding="utf-8") as text:
                    counts[model._meta.label_lower] = records_write(model, text)
                    text.flush()
                    part_add(archive, part_name(model), file, now.timestamp())
            json_add(archive, "volumes.json", volumes, now.timestamp())
            json_add(archive, "settings.json", dict(settings_shown), now.timestamp())
            about = {"format": FORMAT, "made_at": now.isoformat(), "records": counts, "migrations": _migrations()}
            json_add(archive, MANIFEST, about, now.timestamp())
    return Saved(records=sum(counts.values()), volumes=len(volumes), size=path.stat().st_size)


def volumes_list() -> list[dict[str, Any]]:
    """Every volume with somebody's files: node, name on its engine, whose, and when a lab last had it."""
    rows = Lab.objects.filter(node__isnull=False).order_by("node_id", "owner_id").values("node_id", "node__realm", "owner_id", "owner__email")
    return [
        {"node": row["node_id"], "volume": f"gpulab-{row['node__realm']}-ws-{row['owner_id']}", "owner": row["owner__email"], "last_used": row["last"]}
        for row in rows.annotate(last=Max("state_since"))
    ]


def backup_about(*, path: Path) -> datetime:
    """When a backup was made. BadArchive when this version cannot restore it."""
    with archive_open(path) as archive:
        return _checked(manifest_read(archive))


def backup_restore(*, path: Path, now: datetime) -> Restored:
    """Bring the records back as they were, in one transaction: all of it or nothing. BadArchive, in words, when it cannot be.

    Nothing that runs is touched. A lab that was started since is unknown now: its node adopts or quarantines its container.
    Events stay: what happened has happened. People made since stay, disabled, so that nobody else gets their number and files.
    """
    with archive_open(path) as archive, _whole_or_nothing():
        made_at = _checked(manifest_read(archive))
        _same_house(archive)
        turn_seize(name="schedule", holder="restore", lasts_s=QUIET_S)
        undone, known = _undone(made_at), set(_keys_of(archive, User))
        since = list(User.objects.exclude(pk__in=known))
        records_clear()
        count = sum(records_read(model, _part(archive, model)) for model in kept())
        numbers_continue()
        result = Restored(made_at, count, _labs_given_time(now), _people_kept(since), undone)
        words = f"A backup of {made_at:%F %H:%M} UTC was restored: {count} records; {result.labs_extended} labs were given more time."
        event_record(kind="house.restored", subject="house", words=words, actor=None, now=now, undone=len(undone), people_kept=result.people_kept)
    return result


@contextmanager
def _whole_or_nothing() -> Iterator[None]:
    try:
        with transaction.atomic(durable=True):
            yield
    except IntegrityError as error:
        raise BadArchive(f"Its records do not fit the ones that stay; nothing was changed. {error}") from error


def _one_moment() -> None:
    """Everything is read as it was when the first row was. On SQLite a transaction is that already."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _migrations() -> dict[str, str]:
    """The last migration of each app: records fit only the tables that they were written from."""
    return dict(sorted(MigrationRecorder(connection).applied_migrations()))


def _checked(about: dict[str, Any]) -> datetime:
    differing = sorted(app for app, name in about["migrations"].items() if _migrations().get(app) != name)
    if differing:
        raise BadArchive(f"It was made by another version (its tables of {', '.join(differing)} differ). Install that version, restore there, then upgrade.")
    return datetime.fromisoformat(about["made_at"])


def _same_house(archive: tarfile.TarFile) -> None:
    """The first event that both know must be the same one."""
    first = next(_lines_of(archive, Event), None)
    if first is None:
        return
    mine = Event.objects.filter(pk=first["pk"]).first()
    if mine is not None and mine.words != first["fields"]["words"]:
        raise BadArchive("It is of another GPU Lab: its history is not this one's. Restore it into an empty database.")


def _undone(made_at: datetime) -> list[str]:
    since = Event.objects.filter(at__gt=made_at).order_by("pk")
    return [f"{one.at:%F %H:%M} {one.actor_name}: {one.words}" for one in since if one.kind.startswith(UNDONE)][:MOST_UNDONE]


def _labs_given_time(now: datetime) -> int:
    """Deadlines and ends that passed while the backup lay there are no reason to stop anything now."""
    for state, lasts in states.DEADLINES.items():
        Lab.objects.filter(state=state).update(deadline_at=now + lasts)
    return Lab.objects.filter(state=states.RUNNING, ends_at__lt=now + LEAST_LEFT).update(ends_at=now + LEAST_LEFT)


def _people_kept(since: list[User]) -> list[str]:
    User.objects.filter(pk__in=[user.pk for user in since]).update(is_active=False)
    return sorted(user.email for user in since)


def _part(archive: tarfile.TarFile, model: type[Model]) -> IO[bytes]:
    try:
        return part_open(archive, part_name(model))
    except KeyError as error:
        raise BadArchive(f"It is not whole: {part_name(model)} is missing.") from error


def _lines_of(archive: tarfile.TarFile, model: type[Model]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in _part(archive, model))


def _keys_of(archive: tarfile.TarFile, model: type[Model]) -> list[Any]:
    return [line["pk"] for line in _lines_of(archive, model)]
