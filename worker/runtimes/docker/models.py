"""The node's models as each person sees them: one tree, the house's below and what they write above, mounted by the engine as an overlay.

What they write lies in a volume of its own, whose folders nobody but the kernel reaches: in the workspace, its owner could put a link in their place, and
the engine would mount whatever that leads to.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.runtimes.base import LABEL_NODE, LabSpec, RuntimeFault
from worker.runtimes.docker.client import NotFound, faults
from worker.runtimes.docker.volumes import LABEL_KIND, Owner, volume_ensure
from worker.runtimes.mounts import MODELS, MODELS_AT, Mount, folder_sound, own_name

#: How long the engine is not asked again for an overlay that it could not mount.
REST_S = 3600.0
#: Deeper folders of the shared models are read, and not written into.
DEEPEST = 12
OPAQUE = "trusted.overlay.opaque"
NOT_SEEN = "this worker does not see the engine's volumes"
LOCKED = "models: {at} can only be read here, because {why}; what you download goes into your workspace"


class Models:
    """Remembers what could not be mounted, so that each lab starts: without an overlay, with the models to read."""

    def __init__(self) -> None:
        self._locked: dict[str, tuple[float, str]] = {}

    def given(self, api: Any, spec: LabSpec) -> LabSpec:
        """The spec with its models as they can be had: their volumes are made, or they are locked."""
        return replace(spec, mounts=tuple(self._given(api, spec, one) if one.kind == MODELS else one for one in spec.mounts))

    def _given(self, api: Any, spec: LabSpec, mount: Mount) -> Mount:
        if not self._rests(mount):
            try:
                overlay_ensure(api, spec, mount)
            except RuntimeFault as fault:
                self._lock(mount, f"{fault.words[0].lower()}{fault.words[1:].rstrip('.')}")
        return replace(mount, locked=mount.locked or self._rests(mount))

    def refused(self, spec: LabSpec, fault: RuntimeFault) -> bool:
        """Was it the overlay of this lab that the engine could not mount? Then the next try is without."""
        for mount in spec.mounts:
            if mount.kind == MODELS and mount.source in fault.detail and not self._rests(mount):
                self._lock(mount, "the engine cannot mount an overlay of them")
                return True
        return False

    def not_held(self, spec: LabSpec, found: str) -> tuple[LabSpec, list[str]]:
        """The spec as it was given, by what was read back, and words for the lab's page."""
        locked = f"{MODELS_AT} ro" in found.split(", ")
        mounts = tuple(replace(one, locked=True) if one.kind == MODELS and locked else one for one in spec.mounts)
        why = [self._locked.get(one.source, (0.0, "the engine could not mount an overlay of them"))[1] for one in mounts if one.kind == MODELS and one.locked]
        return replace(spec, mounts=mounts), [LOCKED.format(at=MODELS_AT, why=words) for words in why]

    def _lock(self, mount: Mount, words: str) -> None:
        self._locked[mount.source] = (time.monotonic() + REST_S, words)

    def _rests(self, mount: Mount) -> bool:
        return self._locked.get(mount.source, (0.0, ""))[0] > time.monotonic()


def overlay_ensure(api: Any, spec: LabSpec, mount: Mount) -> None:
    """Make the volume that is the overlay, and the one that holds what its owner writes. RuntimeFault, in words, where it cannot be."""
    below = Path(mount.below).resolve() if folder_sound(mount.below) else _mountpoint(api, mount.below)
    labels = {LABEL_NODE: spec.node_id, LABEL_KIND: MODELS}
    volume_ensure(api, own_name(mount.source), owner=Owner(0, 0, 0o711), image=spec.image, labels=labels)
    own = _mountpoint(api, own_name(mount.source))
    if os.geteuid() != 0 or not os.access(own, os.W_OK | os.X_OK):
        raise RuntimeFault(NOT_SEEN, transient=False)
    wanted = {"type": "overlay", "device": "overlay", "o": f"lowerdir={below},upperdir={own}/upper,workdir={own}/work"}
    with faults("The models could not be mounted"):
        try:
            volume = api.inspect_volume(mount.source)
            if volume["Options"] != wanted:
                api.remove_volume(mount.source)
                raise NotFound("other models")
        except NotFound:
            volume = api.create_volume(mount.source, driver="local", driver_opts=wanted, labels=labels)
        if not os.path.ismount(volume["Mountpoint"]):
            _folders_make(below, own, spec)


def _mountpoint(api: Any, name: str) -> Path:
    with faults("The models could not be looked up"):
        return Path(api.inspect_volume(name)["Mountpoint"])


def _folders_make(below: Path, own: Path, spec: LabSpec) -> None:
    """Each folder of the models once more above, the person's own: so they may add, change and remove in it. Only while nothing has it mounted."""
    for name in ("upper", "work"):
        (own / name).mkdir(mode=0o755, exist_ok=True)
    os.chown(own / "upper", spec.uid, spec.gid)
    with _opened(str(below)) as low, _opened(str(own / "upper")) as high:
        _folders_copy(low, high, spec, DEEPEST)


def _folders_copy(low: int, high: int, spec: LabSpec, deep: int) -> None:
    """A folder that its owner has removed, or put something in the place of, stays so; no link is followed."""
    with os.scandir(low) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=high)
            os.chown(name, spec.uid, spec.gid, dir_fd=high, follow_symlinks=False)
        with suppress(OSError), _opened(name, low) as inner_low, _opened(name, high) as inner_high:
            if deep and not _is_opaque(inner_high):
                _folders_copy(inner_low, inner_high, spec, deep - 1)


@contextmanager
def _opened(path: str, folder: int | None = None) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_opaque(folder: int) -> bool:
    """Removed and made anew: what is below it in the models is not seen."""
    try:
        return os.getxattr(folder, OPAQUE) == b"y"
    except OSError:
        return False
