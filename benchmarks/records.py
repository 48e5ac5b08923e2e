"""Records of a house that a benchmark alone fills."""

import os
import secrets
from pathlib import Path


def django_up(home: Path) -> None:
    """A house of the benchmark's own."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "GPULAB_SECRET_KEY": secrets.token_urlsafe(48),
        "GPULAB_HOME": str(home),
        "GPULAB_LOG_LEVEL": "ERROR",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
