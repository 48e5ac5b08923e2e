"""`manage.py restore FILE`: the records as they were, also under running labs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from labs.backup.archive import BadArchive
from labs.backup.services import Restored, backup_about, backup_restore, backup_write
from labs.people.models import User
from portal.shown import settings_shown


class Command(BaseCommand):
    """Bring the records back. What they are now is saved beside FILE first, so that a restore can be undone by another one."""

    help = "Bring back the records of a backup, in one transaction. Running labs are not touched; the present records are saved first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE is what `manage.py backup` wrote."""
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, file: Path, yes: bool, **options: Any) -> None:
        """Ask, save, restore, tell."""
        now = timezone.now()
        try:
            made_at = backup_about(path=file)
            if User.objects.exists():
                self._asked(f"The records become those of {made_at:%F %H:%M} UTC. What was changed since is undone, except the audit log. Go on?", yes)
                before = file.with_name(f"before-restore-{now:%Y%m%d-%H%M%S}.tar.gz")
                backup_write(path=before, settings_shown=settings_shown(), now=now)
                self.stdout.write(f"The present records are saved in {before}.")
            self._tell(backup_restore(path=file, now=now))
        except BadArchive as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The present records cannot be saved beside {file}: {error.strerror}. Nothing was changed.") from error

    def _asked(self, words: str, yes: bool) -> None:
        if not yes and input(f"{words} [y/N] ").strip().lower() != "y":
            raise CommandError("Nothing was changed.")

    def _tell(self, done: Restored) -> None:
        self.stdout.write(f"Restored: {done.records} records of {done.made_at:%F %H:%M} UTC; {done.labs_extended} running labs have an hour at least.")
        if done.people_kept:
            self.stdout.write("Accounts made since are kept, disabled, so that nobody else gets their files: " + ", ".join(done.people_kept))
        if done.undone:
            self.stdout.write("Done since the backup, and undone by it. Look through it, and do again what is still right:")
            self.stdout.write("\n".join(f"  {words}" for words in done.undone))
        self.stdout.write("Containers of labs that were started since are adopted, or listed under Admin > Nodes & GPUs; none is removed for 10 minutes.")
