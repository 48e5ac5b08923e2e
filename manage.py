#!/usr/bin/env python
"""Django's command line for GPU Lab."""

import os
import sys
from pathlib import Path


def running_load() -> None:
    """By hand beside `make up`: take the settings of its last start, unless this shell has its own."""
    home = Path(os.environ.get("GPULAB_HOME") or Path(__file__).resolve().parent / ".gpulab")
    file = home.expanduser() / "running.env"
    if "GPULAB_SECRET_KEY" in os.environ or not file.is_file():
        return
    for line in file.read_text().splitlines():
        name, _, value = line.partition("=")
        os.environ.setdefault(name, value)


def main() -> None:
    """Run one management command."""
    running_load()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
