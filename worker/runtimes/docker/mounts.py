"""The folders beside a lab's workspace as the engine has them: volumes of teams, of NFS, of one lab alone, and folders of the host."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec, RuntimeFault
from worker.runtimes.docker.client import HTTP_CONFLICT, APIError, NotFound, faults
from worker.runtimes.docker.servers import nfs_ensure, nfs_opened
from worker.runtimes.docker.volumes import LABEL_KIND, Owner, volume_ensure
from worker.runtimes.folders import folder_found
from worker.runtimes.mounts import DATA, FOLDER, MODELS, NFS, SCRATCH, SHARED, TEAM, Mount, folder_sound, shared_target, words_found

#: A lab that is being made has no container yet.
RESTS = timedelta(minutes=5)


def mounts_ensure(api: Any, spec: LabSpec) -> None:
    """Make the volumes that are not there yet. A data set's own volume is its owner's to make: without it the lab does not start."""
    for mount in spec.mounts:
        if mount.kind == TEAM:
            volume_ensure(api, mount.source, owner=Owner(0, mount.gid, 0o2770), image=spec.image, labels=_labels(spec, mount))
        elif mount.kind == SCRATCH:
            size = {"size": f"{mount.size_mib}m"} if mount.size_mib else {}
            volume_ensure(api, mount.source, owner=Owner(spec.uid, spec.gid, 0o700), image=spec.image, labels=_labels(spec, mount), options=size)
        elif mount.kind == NFS:
            nfs_ensure(api, mount, spec.node_id)


def _labels(spec: LabSpec, mount: Mount) -> dict[str, str]:
    return {LABEL_NODE: spec.node_id, LABEL_KIND: mount.kind}


def mounts_config(spec: LabSpec, given: Path) -> list[dict[str, Any]]:
    """The engine's words for them. Pure."""
    own = [_bind(str(given / "data"), DATA)] if spec.shared_data and shared_target(spec.mounts) == SHARED else []
    return own + [_mounted(one) for one in spec.mounts]


def _mounted(mount: Mount) -> dict[str, Any]:
    shown = replace(mount, source=mount.below) if mount.kind == MODELS and mount.locked else mount
    return _bind(shown.source, shown.target) if folder_sound(shown.source) else _volume(shown)


def _bind(source: str, target: str) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}


def _volume(mount: Mount) -> dict[str, Any]:
    return {"Type": "volume", "Source": mount.source, "Target": mount.target, "ReadOnly": not mount.writable, "VolumeOptions": {"NoCopy": True}}


def mounts_found(mounts: Sequence[dict[str, Any]]) -> str:
    """The engine's list of a container's mounts -> reading."""
    return words_found({one["Destination"]: bool(one["RW"]) for one in mounts})


@contextmanager
def data_opened(api: Any, mount: Mount, image: str, node_id: str) -> Iterator[str]:
    """The folder of a data set as this host sees it. RuntimeFault, in words, where it is not there or out of reach."""
    if mount.kind == FOLDER:
        yield str(folder_found(mount.source))
        return
    with nfs_opened(api, mount, image, node_id) if mount.kind == NFS else nullcontext(_mountpoint(api, mount)) as seen:
        if not os.access(seen, os.R_OK | os.X_OK):
            raise RuntimeFault("This worker does not see the engine's volumes, so it cannot read the data set.", transient=False)
        yield str(seen)


def _mountpoint(api: Any, mount: Mount) -> Path:
    with faults("The data set could not be looked up"):
        try:
            return Path(api.inspect_volume(mount.source)["Mountpoint"])
        except NotFound as error:
            raise RuntimeFault(f"The engine of this node has no volume {mount.source}.", transient=False) from error


def scratch_name(container: str) -> str:
    """The volume of one attempt's scratch."""
    return f"{container}-scratch"


def scratch_remove(api: Any, name: str) -> bool:
    """Remove a volume of scratch; False while something uses it still."""
    with faults("A lab's scratch could not be removed"):
        try:
            api.remove_volume(name)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code != HTTP_CONFLICT:
                raise
            return False
    return True


def scratch_prune(api: Any, node_id: str) -> None:
    """Remove the scratch of labs that are gone: of a worker that was killed between two steps. The engine keeps what a container uses."""
    with faults("The volumes could not be listed"):
        filters = {"label": [f"{LABEL_NODE}={node_id}", f"{LABEL_KIND}={SCRATCH}"], "dangling": True}
        found = api.volumes(filters=filters)["Volumes"]
    old = datetime.now(tz=UTC) - RESTS
    for volume in found or []:
        if datetime.fromisoformat(volume["CreatedAt"]) < old:
            scratch_remove(api, volume["Name"])
