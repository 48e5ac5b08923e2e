"""`manage.py first_admin`: the first administrator, with a random password that is shown once and kept nowhere."""

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from labs.people.errors import Refused
from labs.people.models import Role, User
from labs.people.services import passes_revoke, person_create

PASSWORD_BYTES = 15
WORDS = """\
First administrator: {email}
Password:            {password}
It is shown this once. Change it on the account page, or make a new one: manage.py first_admin --reset"""


class Command(BaseCommand):
    """Prints nothing when there is an administrator already."""

    help = "Make the first administrator with a random password; nothing happens when there is one already."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and whether to replace a forgotten password."""
        parser.add_argument("--email", default="admin@localhost", help="what they sign in with (%(default)s)")
        parser.add_argument("--reset", action="store_true", help="give the administrator of that address a new password")

    def handle(self, *_: Any, **options: Any) -> None:
        """Make or reset, and show the password."""
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        if options["reset"]:
            self._reset(options["email"], password)
        elif User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).exists():
            return
        else:
            self._make(options["email"], password)
        self.stdout.write(WORDS.format(email=options["email"], password=password))

    def _make(self, email: str, password: str) -> None:
        try:
            person_create(email=email, display_name="Administrator", role=Role.ADMINISTRATOR, group=None, actor=None, now=timezone.now(), password=password)
        except Refused as refused:
            raise CommandError(str(refused)) from refused

    def _reset(self, email: str, password: str) -> None:
        user = User.objects.filter(email__iexact=email, role=Role.ADMINISTRATOR, is_active=True).first()
        if user is None:
            raise CommandError(f"No administrator signs in as {email}; name one with --email.")
        user.set_password(password)
        user.save(update_fields=["password"])
        passes_revoke(user=user, actor=None, now=timezone.now())
