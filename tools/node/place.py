"""Where a node keeps its settings and its certificate, for its own account alone."""

import os
from collections.abc import Mapping
from pathlib import Path

PLACE = Path("/etc/gpulab-node")
ENVIRONMENT, CERT, KEY, AUTHORITY = "node.env", "node.pem", "node.key", "authority.pem"


def keep(place: Path, name: str, text: str) -> Path:
    """Write a file that nobody else can read, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, new = place / name, place / f".{name}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
    return path


def environment_keep(place: Path, settings: Mapping[str, str]) -> Path:
    """As `NAME=value` lines, which systemd and this program read alike."""
    for name, value in settings.items():
        if "\n" in value or '"' in value:
            raise ValueError(f"{name} cannot be kept.")
    return keep(place, ENVIRONMENT, "".join(f'{name}="{value}"\n' for name, value in settings.items()))


def environment_read(place: Path) -> dict[str, str]:
    """What was kept, and what an administrator has added."""
    lines = [line.strip() for line in (place / ENVIRONMENT).read_text().splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value.strip().strip('"') for name, _, value in pairs}
