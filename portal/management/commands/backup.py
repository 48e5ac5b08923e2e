"""`manage.py backup [FILE]`: every record of the house in one file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from labs.backup.services import backup_write
from portal.shown import settings_shown


class Command(BaseCommand):
    """Save the records, the settings without secrets, and a list of the volumes. It may run while people work."""

    help = "Save every record, the settings without secrets and a list of the volumes in one file. Keep it as safe as the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE must not be there yet."""
        parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the file to write (default: GPULAB_HOME/backups/gpulab-DATE.tar.gz)")

    def handle(self, *args: Any, file: Path | None, **options: Any) -> None:
        """Write it and say what is in it."""
        now = timezone.now()
        path = file or settings.GPULAB_HOME / "backups" / f"gpulab-{now:%Y%m%d-%H%M%S}.tar.gz"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            saved = backup_write(path=path, settings_shown=settings_shown(), now=now)
        except FileExistsError as error:
            raise CommandError(f"{path} is there already; a backup is never written over.") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path}: {saved.records} records, {saved.volumes} volumes listed, {saved.size / 1024:.0f} KiB.")
        self.stdout.write("People's files are on the nodes, in those volumes. This file is as secret as the database: keep it elsewhere, and safe.")
