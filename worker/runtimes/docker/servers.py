"""Folders of NFS servers, as the engine's local driver mounts them for labs: read-only, and never in the way of a lab that can do without.

The driver asks the kernel itself, which tries no other version than the one that it is told: what a server speaks is found out when a data set is read.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec, RuntimeFault
from worker.runtimes.docker.bounds import NOBODY, host_bounded
from worker.runtimes.docker.client import APIError, NotFound, faults
from worker.runtimes.docker.jobs import LABEL_JOB
from worker.runtimes.docker.volumes import LABEL_KIND
from worker.runtimes.mounts import NFS, Mount

#: A server that goes away gives programs an error in the end, instead of holding them for ever.
NFS_OPTIONS = "ro,soft,timeo=50,retrans=2,nosuid,nodev"
#: The newest first. Many servers speak 4 only; 3 is for old ones, and whoever only reads needs no locks of theirs.
VERSIONS = ("vers=4.2", "vers=4.1", "vers=3,nolock")
PORT, REACH_S = 2049, 3.0
#: How long a server that was away is not asked again.
REST_S = 60.0
LOCKED = "data: {at} is not there, because {why}"
MOUNTING = "The data set could not be mounted"
#: What the kernel says -> what that means.
MEANT = (
    ("permission denied", "The server gives this node no such folder."),
    ("operation not permitted", "The server gives this node no such folder."),
    ("no such file or directory", "The server gives this node no such folder."),
    ("no such device", "This node's kernel has no NFS."),
)


class Servers:
    """Remembers which servers were away, so that not every lab waits for them."""

    def __init__(self) -> None:
        self._away: dict[str, tuple[float, str]] = {}

    def given(self, spec: LabSpec) -> LabSpec:
        """The spec without the data sets that cannot be had now. RuntimeFault, in words, where the lab needs one of them."""
        kept = tuple(one for one in spec.mounts if one.kind != NFS or self._had(one))
        return spec if len(kept) == len(spec.mounts) else replace(spec, mounts=kept)

    def _had(self, mount: Mount) -> bool:
        if words := self._why(mount):
            if mount.needed:
                raise RuntimeFault(f"The data set {mount.target} cannot be had: {words}")
            return False
        return True

    def _why(self, mount: Mount) -> str:
        until, words = self._away.get(mount.source, (0.0, ""))
        if until > time.monotonic():
            return words
        try:
            server_reach(mount)
        except RuntimeFault as fault:
            self._rest(mount, fault.words)
            return fault.words
        return ""

    def refused(self, spec: LabSpec, fault: RuntimeFault) -> bool:
        """Was it a data set that this lab can do without that the engine could not mount? Then the next try is without."""
        for mount in spec.mounts:
            if mount.kind == NFS and mount.source in fault.detail and not mount.needed and mount.source not in self._resting():
                self._rest(mount, meant(fault).words)
                return True
        return False

    def _resting(self) -> set[str]:
        return {source for source, (until, _) in self._away.items() if until > time.monotonic()}

    def not_held(self, spec: LabSpec, found: str) -> tuple[LabSpec, list[str]]:
        """The spec as it was given, by what was read back, and words for the lab's page."""
        seen = {one.rpartition(" ")[0] for one in found.split(", ")}
        gone = [one for one in spec.mounts if one.kind == NFS and not one.needed and one.target not in seen]
        words = [LOCKED.format(at=one.target, why=_inner(self._away.get(one.source, (0.0, "Its server was away."))[1])) for one in gone]
        return replace(spec, mounts=tuple(one for one in spec.mounts if one not in gone)), words

    def _rest(self, mount: Mount, words: str) -> None:
        self._away[mount.source] = (time.monotonic() + REST_S, words)


def _inner(words: str) -> str:
    return f"{words[0].lower()}{words[1:].rstrip('.')}"


def server_reach(mount: Mount) -> None:
    """RuntimeFault where nobody answers there: the kernel would try for minutes."""
    server = mount.remote.partition(":")[0]
    try:
        socket.create_connection((server, PORT), REACH_S).close()
    except OSError as error:
        raise RuntimeFault(f"The server {server} does not answer.", detail=str(error)) from error


def meant(fault: RuntimeFault) -> RuntimeFault:
    """The same in words where the kernel's are known."""
    words = next((words for said, words in MEANT if said in fault.detail), "")
    return RuntimeFault(words, detail=fault.detail) if words else fault


def nfs_ensure(api: Any, mount: Mount, node_id: str) -> str:
    """The volume by which the engine mounts it; its options."""
    with faults(MOUNTING):
        try:
            return str(api.inspect_volume(mount.source)["Options"]["o"])
        except NotFound:
            return _made(api, mount, node_id, _options(mount, VERSIONS[0]))


def _options(mount: Mount, version: str) -> str:
    return f"addr={mount.remote.partition(':')[0]},{NFS_OPTIONS},{version}"


def _made(api: Any, mount: Mount, node_id: str, options: str) -> str:
    device = f":{mount.remote.partition(':')[2]}"
    labels = {LABEL_NODE: node_id, LABEL_KIND: NFS}
    api.create_volume(mount.source, driver="local", driver_opts={"type": "nfs", "o": options, "device": device}, labels=labels)
    return options


@contextmanager
def nfs_opened(api: Any, mount: Mount, image: str, node_id: str) -> Iterator[Path]:
    """The engine mounts such a volume while a container has it, and perhaps only for that: it is looked at as the container sees it."""
    if not image:
        raise RuntimeFault("No image is on this node yet, so nothing can be mounted to look at.")
    server_reach(mount)
    made = _begun(api, mount, image, node_id)
    try:
        with faults(MOUNTING):
            pid = api.inspect_container(made)["State"]["Pid"]
        yield Path(f"/proc/{pid}/root/data")
    finally:
        _discard(api, made)


def _begun(api: Any, mount: Mount, image: str, node_id: str) -> str:
    """A container that has it mounted, by the newest version that the server speaks; what the volume was made with is tried first."""
    had = nfs_ensure(api, mount, node_id)
    first: RuntimeFault | None = None
    for options in dict.fromkeys((had, *(_options(mount, version) for version in VERSIONS))):
        try:
            if options != had:
                with faults(MOUNTING):
                    api.remove_volume(mount.source)
                    had = _made(api, mount, node_id, options)
            return _held(api, mount, image, node_id)
        except RuntimeFault as fault:
            first = first or meant(fault)
            if not isinstance(fault.__cause__, APIError):
                break
    raise first or RuntimeFault(MOUNTING)


def _held(api: Any, mount: Mount, image: str, node_id: str) -> str:
    shown = {"Type": "volume", "Source": mount.source, "Target": "/data", "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}
    body = {"Image": image, "User": NOBODY, "Entrypoint": ["/bin/sleep", "86400"], "Labels": {LABEL_JOB: node_id}, "HostConfig": host_bounded(Mounts=[shown])}
    with faults(MOUNTING):
        made = str(api.create_container_from_config(body)["Id"])
    try:
        with faults(MOUNTING):
            api.start(made)
    except RuntimeFault:
        _discard(api, made)
        raise
    return made


def _discard(api: Any, made: str) -> None:
    with faults("A container could not be removed"), suppress(NotFound):
        api.remove_container(made, force=True)
