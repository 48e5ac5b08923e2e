"""A person's workspace: a named volume that outlives labs and belongs to the person's uid."""

import contextlib
import os
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec
from worker.runtimes.docker.client import NotFound, faults


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
