"""Folders that a lab sees beside its workspace: data sets, teams' folders, scratch. Pure; what a runtime does with them are its verbs."""

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

#: Where a lab sees the house's shared folder: at /data itself, or below it once data sets stand there too.
DATA, SHARED = "/data", "/data/shared"
FOLDER, VOLUME, NFS, TEAM, SCRATCH, MODELS = "folder", "volume", "nfs", "team", "scratch", "models"
#: Where a lab sees the node's models, and what the tools that download models are told when it may write there.
MODELS_AT = "/models"
MODELS_ENVIRONMENT = {"HF_HUB_CACHE": f"{MODELS_AT}/hub", "TORCH_HOME": f"{MODELS_AT}/torch"}
_TARGETS = {TEAM: re.compile(r"/team/[A-Za-z0-9_-]{1,60}"), SCRATCH: re.compile(r"/scratch"), MODELS: re.compile(MODELS_AT)}
_DATA_TARGET = re.compile(r"/data/(?!shared\Z)[a-z0-9][a-z0-9-]{0,39}(@[a-z0-9][a-z0-9.-]{0,19})?")
_REALM = r"gpulab-[a-zA-Z0-9_-]{1,60}"
_OWN_NAMES = {
    TEAM: rf"{_REALM}-team-\d{{1,10}}",
    NFS: rf"{_REALM}-data-\d{{1,10}}",
    SCRATCH: rf"{_REALM}-\d{{1,5}}-scratch",
    MODELS: rf"{_REALM}-models-\d{{1,10}}",
}
_NAME = re.compile(r"(?!gpulab-)[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_REMOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}:/[A-Za-z0-9_./@+-]{0,200}")


@dataclass(frozen=True, slots=True)
class Mount:
    """One folder. `kind` says what `source` is: a folder of this host, the name of a volume of the engine's or of ours."""

    target: str
    kind: str
    source: str
    gid: int = 0  # the group that a team's folder belongs to
    size_mib: int = 0  # the most that scratch holds, where the file system can hold it to that
    remote: str = ""  # of NFS: server:/path
    below: str = ""  # of models: the folder of this host, or the volume of the engine's, that all share
    locked: bool = False  # of models: they can only be read here
    needed: bool = False  # of data: the lab does not start without it

    @property
    def writable(self) -> bool:
        """A team's folder and scratch are, and models where the engine lays a person's own over them; data are not."""
        return self.kind in (TEAM, SCRATCH) or (self.kind == MODELS and not self.locked)

    @property
    def words(self) -> str:
        """As it is read back: where, and whether it may be written."""
        return f"{self.target} {'rw' if self.writable else 'ro'}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a workspace takes of the disk. Bytes; files and folders, None where only the engine can count; not `whole`: there is more."""

    size: int
    files: int | None
    whole: bool = True


#: What a lab's Jupyter is handed, so that it says in words when there is no room: its manager of files, how it is told of it, and where the room is said.
CONTENTS, CONTENTS_PROGRAM, CONTENTS_CONFIG, CONTENTS_ROOM = "contents", "gpulab_contents.py", "jupyter_config.py", "room.json"
#: An image may have a Jupyter that knows no such manager: it starts without.
CONTENTS_CONFIGURATION = """import os
import sys

sys.path.append(os.path.dirname(__file__))
try:
    import gpulab_contents
except ImportError:
    pass
else:
    c.ServerApp.contents_manager_class = gpulab_contents.Contents
"""


@dataclass(frozen=True, slots=True)
class Room:
    """What a person's workspaces hold and may hold, in bytes, and the page where more is asked for.

    `kept` is where the file system itself stops this workspace; 0 where it does not.
    """

    held: int
    limit: int
    ask: str
    kept: int = 0

    def text(self) -> str:
        """The file's content."""
        return json.dumps({"held": self.held, "limit": self.limit, "ask": self.ask, "kept": self.kept}) + "\n"


class VolumeVerbs(Protocol):
    """The verbs of a runtime that are about people's and the house's files."""

    def data_opened(self, mount: Mount, image: str) -> AbstractContextManager[str]:
        """The folder of a data set on this host, for as long as it is held; `image`: any that the node has. RuntimeFault where there is none."""
        ...

    def scratch_prune(self) -> None:
        """Remove the scratch of labs that are gone."""
        ...

    def workspaces(self) -> list[str]:
        """Names of people's workspaces on this node."""
        ...

    def workspace_files(self, name: str, folder: str, most: int) -> dict[str, str]:
        """Plain files right in a folder of the workspace, at most so many, each with a mark of its size and last change; none where there is no such folder.

        RuntimeFault where this worker cannot look into the workspace.
        """
        ...

    def room_tell(self, name: str, room: Room) -> None:
        """Tell the Jupyter of a lab how much its owner holds; nothing where the lab is gone."""
        ...

    def workspace_measure(self, name: str, deadline_s: float) -> Measured | None:
        """What the workspace takes of the disk now, or what of it was counted in that time; None when it is not there. Long."""
        ...


def mount_sound(mount: Mount) -> bool:
    """May this reach an engine? Should a bug ever build another, it does not."""
    if not _TARGETS.get(mount.kind, _DATA_TARGET).fullmatch(mount.target):
        return False
    if mount.kind == FOLDER:
        return folder_sound(mount.source)
    if mount.kind == VOLUME:
        return bool(_NAME.fullmatch(mount.source))
    own = bool(re.fullmatch(_OWN_NAMES[mount.kind], mount.source))
    if mount.kind == NFS:
        return own and remote_sound(mount.remote)
    if mount.kind == MODELS:
        return own and models_sound(mount.below)
    return own and (mount.kind == SCRATCH or (mount.kind == TEAM and mount.gid >= 1000))


def folder_sound(path: str) -> bool:
    """An absolute folder, written without detours, and not the root."""
    first, *parts = path.split("/")
    return not first and all(part not in ("", ".", "..") for part in parts) and bool(parts) and path.isprintable()


def remote_sound(remote: str) -> bool:
    """`server:/path` of an NFS server, in characters that no mount option is made of."""
    return bool(_REMOTE.fullmatch(remote)) and ".." not in remote


def volume_sound(name: str) -> bool:
    """A volume of the engine's that is none of the house's own."""
    return bool(_NAME.fullmatch(name))


def own_name(models: str) -> str:
    """The volume of what a person has written over the models."""
    return f"{models}-own"


def models_sound(below: str) -> bool:
    """A volume of the engine's, or a folder whose name cannot be read as another option of a mount."""
    return volume_sound(below) or (folder_sound(below) and not set(below) & set(",:\\"))


def shared_target(mounts: tuple[Mount, ...]) -> str:
    """Where the house's shared folder is seen."""
    return SHARED if any(one.target.startswith(f"{DATA}/") for one in mounts) else DATA


def words_asked(mounts: tuple[Mount, ...], shared_data: str) -> str:
    """All folders beside the workspace as they must be found."""
    rows = [one.words for one in mounts] + ([f"{shared_target(mounts)} ro"] if shared_data else [])
    return ", ".join(sorted(rows)) or "none"


def words_inside(mountinfo: str) -> str:
    """The same, read from /proc/PID/mountinfo."""
    found: dict[str, bool] = {}
    for line in mountinfo.splitlines():
        words = line.partition(" - ")[0].split()
        if len(words) > 5:
            found[words[4]] = "ro" not in words[5].split(",")
    return words_found(found)


def words_found(writable: Mapping[str, bool]) -> str:
    """Those of a lab's mounts that stand beside its workspace; a /data that only holds the places of others is none."""
    rows = {target: rw for target, rw in writable.items() if target in (DATA, "/scratch", MODELS_AT) or target.startswith((f"{DATA}/", "/team/"))}
    if SHARED in rows:
        rows.pop(DATA, None)
    return ", ".join(sorted(f"{target} {'rw' if rw else 'ro'}" for target, rw in rows.items())) or "none"
