"""`manage.py ssh_gateway`: the one SSH port of the house."""

import logging
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand

from labs.bus.secrets import derive
from labs.lifecycle.passes import KEY_PURPOSE
from labs.lifecycle.tokens import gateway_key
from portal.ssh.directory import Records
from portal.ssh.run import serve


class Command(BaseCommand):
    """Takes people by public key to their own labs."""

    help = "Run the SSH gateway: ssh <lab>@<this host> reaches the key owner's lab."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to end."""
        logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every packet's fate, and of commands
        uvloop.run(
            serve(
                bind=(settings.SSH_HOST, settings.SSH_PORT),
                folder=settings.SSH_FOLDER,
                door=(settings.RELAY_BYTES_HOST, settings.RELAY_BYTES_PORT),
                pass_key=derive(KEY_PURPOSE),
                client_key=gateway_key(),
                allow=settings.ALLOW_SSH,
                directory=Records(),
                redis_url=settings.REDIS_URL,
            )
        )
