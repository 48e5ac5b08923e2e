"""A person's workspace: a named volume that outlives labs and belongs to the person's uid."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec, Measured
from worker.runtimes.docker.client import NotFound, faults
from worker.runtimes.folders import folder_measure

#: The engine measures all volumes at once; its answer serves for all who are measured within this time.
ENGINES_ANSWER_S = 15.0


def workspace_ensure(api: Any, spec: LabSpec) -> None:
    """Make the volume if it is not there, and see that its folder has the owner's uid."""
    with faults("The workspace could not be made"):
        try:
            volume, fresh = api.inspect_volume(spec.workspace), False
        except NotFound:
            volume, fresh = api.create_volume(spec.workspace, labels={LABEL_NODE: spec.node_id}), True
        if _own_by_path(Path(volume["Mountpoint"]), spec) or not fresh:
            return
        try:
            _own_by_container(api, spec)
        except BaseException:
            api.remove_volume(spec.workspace)  # else the next try would take it for finished
            raise


def _own_by_path(folder: Path, spec: LabSpec) -> bool:
    """Directly, where this worker is root on the engine's host."""
    if os.geteuid() != 0:
        return False
    try:
        state = folder.stat()
        if (state.st_uid, state.st_gid) != (spec.uid, spec.gid):
            os.chown(folder, spec.uid, spec.gid)
            folder.chmod(0o700)
    except OSError:
        return False
    return True


def _own_by_container(api: Any, spec: LabSpec) -> None:
    """By a short container with one capability, where the engine's files are out of reach."""
    script = f"chown {spec.uid}:{spec.gid} /workspace && chmod 700 /workspace"
    mount = {"Type": "volume", "Source": spec.workspace, "Target": "/workspace", "VolumeOptions": {"NoCopy": True}}
    host = {"NetworkMode": "none", "CapDrop": ["ALL"], "CapAdd": ["CHOWN", "FOWNER"], "Mounts": [mount]}
    body = {"Image": spec.image, "User": "0:0", "Entrypoint": ["/bin/sh", "-c", script], "HostConfig": host}
    made = api.create_container_from_config(body)["Id"]
    try:
        api.start(made)
        status = api.wait(made)["StatusCode"]
        if status != 0:
            raise OSError(f"chown of {spec.workspace} ended with {status}")
    finally:
        with contextlib.suppress(NotFound):
            api.remove_container(made, force=True)


def workspaces_list(api: Any, node_id: str) -> list[str]:
    """Names of the volumes with the node's label."""
    with faults("The workspaces could not be listed"):
        found = api.volumes(filters={"label": f"{LABEL_NODE}={node_id}"})["Volumes"]
    return [str(volume["Name"]) for volume in found or []]


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

    def _by_engine(self, api: Any, deadline_s: float) -> dict[str, int]:
        if time.monotonic() - self._asked_at > ENGINES_ANSWER_S:
            with faults("The workspaces could not be measured"):
                answer = api.get(api.base_url + f"/v{api.api_version}/system/df", params={"type": "volume"}, timeout=deadline_s)
                answer.raise_for_status()
            volumes = answer.json().get("Volumes") or []
            self._engines = {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in volumes}
            self._asked_at = time.monotonic()
        return self._engines
