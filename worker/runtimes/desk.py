"""What the container of a file page is handed: its program, packed into one file, and its plan."""

import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from worker.runtimes.base import LabSpec

PROGRAM, PLAN, LIBRARY = "desk.pyz", "desk.json", "cloud.zip"
#: What sends to S3, all of it Python; of the library's descriptions of services only those that this takes.
PACKED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
DESCRIBED, NEEDED = ("botocore/data/", "boto3/data/", "boto3/examples/"), ("botocore/data/s3/", "boto3/data/s3/")
NEEDED_TOO = ("botocore/data/endpoints.json", "botocore/data/partitions.json", "botocore/data/sdk-default-configuration.json", "botocore/data/_retry.json")
FOLDER = Path(__file__).parents[1] / "desk"
BEGIN = "from worker.desk.main import main\n\nmain()\n"
#: Left out of the packed program: for people who renew what others wrote.
NOT_SERVED = frozenset(("README.md", "SHA256SUMS"))


@cache
def desk_program() -> bytes:
    """The program with all its parts, as Python runs it: `python -I desk.pyz desk.json`. Names in it are those that it has here."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", BEGIN)
        archive.writestr("worker/__init__.py", "")
        for path in sorted(FOLDER.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in NOT_SERVED:
                archive.write(path, f"worker/desk/{path.relative_to(FOLDER)}")
    return packed.getvalue()


@cache
def desk_library() -> bytes:
    """What the program sends folders to S3 with: it needs no image that has it, and no network to fetch it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, name in sorted(_packed_files()):
            if not name.startswith(DESCRIBED) or name.startswith((*NEEDED, *NEEDED_TOO)):
                archive.write(path, name)
    return packed.getvalue()


def _packed_files() -> Iterator[tuple[Path, str]]:
    for package in PACKED:
        found = importlib.util.find_spec(package)
        origin = Path(found.origin) if found and found.origin else None
        if origin is None:
            raise FileNotFoundError(2, package)
        for path in origin.parent.rglob("*") if origin.name == "__init__.py" else (origin,):
            if path.is_file() and path.suffix not in (".pyc", ".so"):
                yield path, str(path.relative_to(origin.parent.parent if origin.name == "__init__.py" else origin.parent))


def desk_plan(spec: LabSpec, *, workspace: str, given: str, address: tuple[str, int]) -> str:
    """Its plan; `workspace` and `given` are folders as the program sees them, `address` is where it listens."""
    desk = spec.desk
    said = {"portal": desk.portal, "node": desk.node, "left": desk.left} if desk else {}
    plan = {"workspace": workspace, "host": address[0], "port": address[1], "base": spec.base_url, "token_file": f"{given}/token"}
    return json.dumps(plan | said)
