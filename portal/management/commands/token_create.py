"""`manage.py token_create USER`: an API token for scripts, printed once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from labs.people.errors import Refused
from labs.people.models import ApiToken, User
from labs.people.services import token_create


class Command(BaseCommand):
    """Make a token for a person. The secret alone goes to standard output, so that a script can catch it."""

    help = "Make an API token and print its secret, which is shown only now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """USER is the e-mail address that the person signs in with."""
        parser.add_argument("user", metavar="USER", help="the person's e-mail address")
        parser.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.LAUNCH.value, help="what it may do (default: %(default)s)")
        parser.add_argument("--days", type=int, default=None, help="how long it lives, 1 to 365 (default: the house's)")
        parser.add_argument("--name", default="command line", help="what it is called on the account page (default: %(default)s)")

    def handle(self, *args: Any, user: str, scope: str, days: int | None, name: str, **options: Any) -> None:
        """Make it, or say why not."""
        person = User.objects.filter(email__iexact=user.strip(), is_active=True).first()
        if person is None:
            raise CommandError(f"Nobody who can sign in has the address {user}.")
        try:
            token, secret = token_create(user=person, name=name, scope=scope, days=days, now=timezone.now())
        except Refused as refused:
            raise CommandError(refused.words) from refused
        self.stderr.write(f"Token {token} of {person}, scope {token.scope}, until {token.expires_at:%d %B %Y}. It is shown only now:")
        self.stdout.write(secret)
