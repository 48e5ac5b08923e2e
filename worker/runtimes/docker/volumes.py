"""A person's workspace: a named volume that outlives labs and belongs to the person's uid."""

import contextlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec, Measured
from worker.runtimes.docker.bounds import host_bounded
from worker.runtimes.docker.client import APIError, NotFound, faults
from worker.runtimes.folders import folder_files, folder_measure, group_keep

#: The engine measures all volumes at once; its answer serves for all who are measured within this time.
ENGINES_ANSWER_S = 15.0
#: On volumes of ours that are no workspaces: what they are instead.
LABEL_KIND = "gpulab.volume"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a volume's folder is, and who may do what in it."""

    uid: int
    gid: int
    mode: int = 0o700


def workspace_ensure(api: Any, spec: LabSpec) -> None:
    """Make the workspace's volume if it is not there, and see that its folder has the owner's uid."""
    volume_ensure(api, spec.workspace, owner=Owner(spec.uid, spec.gid), image=spec.image, labels={LABEL_NODE: spec.node_id})


def volume_ensure(api: Any, name: str, *, owner: Owner, image: str, labels: dict[str, str], options: dict[str, str] | None = None) -> None:
    """Make a volume of ours if it is not there, with its folder's owner. `options` are asked for, and done without where the host has no such thing."""
    with faults("The workspace could not be made"):
        try:
            volume, fresh = api.inspect_volume(name), False
        except NotFound:
            volume, fresh = _made(api, name, labels, options), True
        if _own_by_path(Path(volume["Mountpoint"]), owner) or not fresh:
            return
        try:
            _own_by_container(api, name, owner, image)
        except BaseException:
            api.remove_volume(name)  # else the next try would take it for finished
            raise


def _made(api: Any, name: str, labels: dict[str, str], options: dict[str, str] | None) -> Any:
    if options:
        with contextlib.suppress(APIError):
            return api.create_volume(name, driver="local", driver_opts=options, labels=labels)
    return api.create_volume(name, labels=labels)


def _own_by_path(folder: Path, owner: Owner) -> bool:
    """Directly, where this worker is root on the engine's host."""
    if os.geteuid() != 0:
        return False
    try:
        state = folder.stat()
        if (state.st_uid, state.st_gid) != (owner.uid, owner.gid):
            os.chown(folder, owner.uid, owner.gid)
            folder.chmod(owner.mode)
            if owner.mode & stat.S_ISGID:
                group_keep(folder)
    except OSError:
        return False
    return True


def _own_by_container(api: Any, name: str, owner: Owner, image: str) -> None:
    """By a short container with two capabilities, where the engine's files are out of reach."""
    script = f"chown {owner.uid}:{owner.gid} /workspace && chmod {owner.mode:o} /workspace"
    mount = {"Type": "volume", "Source": name, "Target": "/workspace", "VolumeOptions": {"NoCopy": True}}
    host = host_bounded(CapAdd=["CHOWN", "FOWNER", "FSETID"], Mounts=[mount])
    body = {"Image": image, "User": "0:0", "Entrypoint": ["/bin/sh", "-c", script], "HostConfig": host}
    made = api.create_container_from_config(body)["Id"]
    try:
        api.start(made)
        status = api.wait(made)["StatusCode"]
        if status != 0:
            raise OSError(f"chown of {name} ended with {status}")
    finally:
        with contextlib.suppress(NotFound):
            api.remove_container(made, force=True)


def workspaces_list(api: Any, node_id: str) -> list[str]:
    """Names of the volumes with the node's label that are nothing else of ours."""
    with faults("The workspaces could not be listed"):
        found = api.volumes(filters={"label": f"{LABEL_NODE}={node_id}"})["Volumes"]
    return [str(volume["Name"]) for volume in found or [] if LABEL_KIND not in (volume.get("Labels") or {})]


class Sizes:
    """What workspaces take of the disk."""

    def __init__(self) -> None:
        self._engines: dict[str, int] = {}
        self._asked_at = -ENGINES_ANSWER_S

    def measure(self, api: Any, name: str, deadline_s: float) -> Measured | None:
        """Counted where this worker sees the volume's folder; else as the engine says. None when there is no such volume."""
        with faults("The workspace could not be looked up"):
            try:
                folder = Path(api.inspect_volume(name)["Mountpoint"])
            except NotFound:
                return None
        if os.access(folder, os.R_OK | os.X_OK):
            return folder_measure(folder, deadline_s)
        size = self._by_engine(api, deadline_s).get(name)
        return Measured(size, None) if size is not None and size >= 0 else None

    def files(self, api: Any, name: str, folder: str, most: int) -> dict[str, str]:
        """What lies right in a folder of the volume; nothing where there is no such volume."""
        with faults("The workspace could not be looked up"):
            try:
                place = Path(api.inspect_volume(name)["Mountpoint"])
            except NotFound:
                return {}
        return folder_files(place, folder, most)

    def _by_engine(self, api: Any, deadline_s: float) -> dict[str, int]:
        if time.monotonic() - self._asked_at > ENGINES_ANSWER_S:
            with faults("The workspaces could not be measured"):
                answer = api.get(api.base_url + f"/v{api.api_version}/system/df", params={"type": "volume"}, timeout=deadline_s)
                answer.raise_for_status()
            volumes = answer.json().get("Volumes") or []
            self._engines = {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in volumes}
            self._asked_at = time.monotonic()
        return self._engines
