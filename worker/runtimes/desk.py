"""What the container of a file page is handed: its program, packed into one file, and its plan."""

import io
import json
import zipfile
from functools import cache
from pathlib import Path

from worker.runtimes.base import LabSpec

PROGRAM, PLAN = "desk.pyz", "desk.json"
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


def desk_plan(spec: LabSpec, *, workspace: str, given: str, address: tuple[str, int]) -> str:
    """Its plan; `workspace` and `given` are folders as the program sees them, `address` is where it listens."""
    desk = spec.desk
    said = {"portal": desk.portal, "node": desk.node, "left": desk.left} if desk else {}
    plan = {"workspace": workspace, "host": address[0], "port": address[1], "base": spec.base_url, "token_file": f"{given}/token"}
    return json.dumps(plan | said)
