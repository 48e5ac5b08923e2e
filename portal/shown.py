"""The settings as they may be shown and saved: without secrets."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|_KEY$")


def settings_shown(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Every GPULAB_ variable but secret ones; an address loses its password."""
    named = {name: value for name, value in sorted(environment.items()) if name.startswith("GPULAB_") and not name.startswith("GPULAB_TEST_")}
    return {name: _without_password(value) for name, value in named.items() if not SECRET.search(name)}


def _without_password(value: str) -> str:
    parts = urlsplit(value)
    if not parts.password:
        return value
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":…@")).geturl()
