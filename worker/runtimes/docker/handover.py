"""What a lab is handed by files: its user's passwd entry, Jupyter's token, the gateway's key. Never by environment."""

import contextlib
import fcntl
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from worker.runtimes import desk, job
from worker.runtimes.base import JOB_GO, JOB_PLAN, JOB_PROGRAM, LabSpec
from worker.runtimes.folders import contents_write, room_write
from worker.runtimes.mounts import CONTENTS, DATA, SHARED, Room, shared_target

USERS = "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
#: What the lab's programs are told, beside what it was handed at its start.
NOTICE = "notice.json"
#: Locks are files that stay; few names share one.
LOCKS = 1024
GROUPS = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


class Handover:
    """A folder a container under `folder`, which nobody but this worker may enter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nobody else on this node starts the container `name` meanwhile, in this process or in another."""
        self._make()
        file = self._folder / f"lock-{zlib.crc32(name.encode()) % LOCKS}"
        with file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)

    def write(self, spec: LabSpec, job_plan: str = "", desk_plan: str = "") -> Path:
        """Write the files of one container, with the plan of its job or file page if it is one; returns the folder whose parts are bound into it."""
        self._make()
        given = self._folder / spec.name
        secrets = given / "secrets"
        secrets.mkdir(parents=True, exist_ok=True)
        user = f"{spec.username}:x:{spec.uid}:{spec.gid}::/workspace:/bin/bash\n"
        _put(given / "passwd", USERS + user, 0o444)
        teams = "".join(f"{one.target.rpartition('/')[2]}:x:{one.gid}:{spec.username}\n" for one in spec.mounts if one.gid)
        _put(given / "group", GROUPS + f"{spec.username}:x:{spec.gid}:\n" + teams, 0o444)
        if spec.shared_data and shared_target(spec.mounts) == SHARED:
            _data_write(given / "data", spec)
        _put(secrets / "token", spec.token, 0o400, spec)
        _put(secrets / "authorized_keys", spec.gateway_key.strip() + "\n" if spec.gateway_key else "", 0o400, spec)
        if job_plan:
            _put(secrets / JOB_PROGRAM, Path(job.__file__).read_text(), 0o444)
            _put(secrets / JOB_PLAN, job_plan, 0o400, spec)
        if desk_plan:
            (secrets / desk.PROGRAM).write_bytes(desk.desk_program())
            (secrets / desk.LIBRARY).write_bytes(desk.desk_library())
            for name in (desk.PROGRAM, desk.LIBRARY):
                _own(secrets / name, 0o444, None)
            _put(secrets / desk.PLAN, desk_plan, 0o400, spec)
        if not (job_plan or desk_plan):
            contents_write(secrets / CONTENTS)
        _own(secrets, 0o500, spec)
        return given

    def room(self, name: str, room: Room) -> None:
        """Put what its owner holds where the container's Jupyter sees it."""
        room_write(self._folder / name / "secrets" / CONTENTS, room)

    def notice(self, name: str, text: str) -> bool:
        """Put what the lab's programs are told where they see it (empty: take it away); False when there is no such container."""
        secrets = self._folder / name / "secrets"
        if not secrets.is_dir():
            return False
        if not text:
            (secrets / NOTICE).unlink(missing_ok=True)
            return True
        new = secrets / f"{NOTICE}.new"
        new.write_text(text)
        new.chmod(0o444)
        new.rename(secrets / NOTICE)
        return True

    def go(self, name: str) -> None:
        """Let its job begin."""
        secrets = self._folder / name / "secrets"
        if (secrets / JOB_PLAN).exists():
            (secrets / JOB_GO).touch()

    def remove(self, name: str) -> None:
        """Forget a container's files; no complaint if there are none."""
        shutil.rmtree(self._folder / name, ignore_errors=True)


def _data_write(folder: Path, spec: LabSpec) -> None:
    """A /data of the lab's own: places for its data sets, and a link to each entry of the house's shared folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    for name in (SHARED, *(one.target for one in spec.mounts)):
        if name.startswith(f"{DATA}/"):
            (folder / name.rpartition("/")[2]).mkdir()
    for entry in sorted(Path(spec.shared_data).iterdir()):
        if not (folder / entry.name).exists():
            (folder / entry.name).symlink_to(f"shared/{entry.name}")


def _put(file: Path, text: str, mode: int, spec: LabSpec | None = None) -> None:
    if file.exists() and os.access(file, os.R_OK) and file.read_text() == text:
        return
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)
    _own(file, mode, spec)


def _own(path: Path, mode: int, spec: LabSpec | None) -> None:
    """Give the path to the lab's user. A worker that is not root cannot: then the 0700 folder above guards it."""
    if spec is None or os.geteuid() == 0:
        path.chmod(mode)
        if spec is not None:
            os.chown(path, spec.uid, spec.gid)
        return
    path.chmod(0o755 if path.is_dir() else 0o444)
