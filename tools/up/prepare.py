"""Before the first child: the database's shape and the first administrator, both skipped when nothing changed."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.bootstrap import ROOT
from tools.up.place import Place, UpFault

PACKAGES = ("labs", "portal", "worker")


def shape_hash(database_url: str, *, root: Path = ROOT) -> str:
    """What the database's shape depends on: which database, our migrations, and the lock that brings the others'."""
    digest = hashlib.sha256(database_url.encode())
    digest.update((root / "requirements" / "base.txt").read_bytes())
    for package in PACKAGES:
        for path in sorted((root / package).glob("**/migrations/*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_prepared(place: Place, environment: Mapping[str, str]) -> bool:
    """Was this database brought to this shape before? A database file that is gone says no."""
    stamp = place.home / "prepared"
    url = environment.get("GPULAB_DATABASE_URL", "")
    if not url and not (place.home / "db.sqlite3").exists():
        return False
    return stamp.is_file() and stamp.read_text() == shape_hash(url)


def database_prepare(place: Place, environment: Mapping[str, str]) -> str:
    """Migrate and make the first administrator. Returns the words to show once, "" when there is nothing to say."""
    if is_prepared(place, environment):
        return ""
    if not environment.get("GPULAB_DATABASE_URL"):
        (place.home / "db.sqlite3").touch(mode=0o600)  # SQLite's own files beside it take the same mode
    _manage(["migrate", "--noinput", "--verbosity=0", "--skip-checks"], environment)
    words = _manage(["first_admin", "--skip-checks"], environment)
    (place.home / "prepared").write_text(shape_hash(environment.get("GPULAB_DATABASE_URL", "")))
    return words


def _manage(arguments: list[str], environment: Mapping[str, str]) -> str:
    command = [sys.executable, "manage.py", *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False, start_new_session=True)
    if ran.returncode:
        raise UpFault(f"`manage.py {arguments[0]}` failed; its words are above.")
    return ran.stdout.strip()
