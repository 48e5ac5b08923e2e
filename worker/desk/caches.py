"""Caches in a workspace that programs fill again by themselves: how much they hold, and emptying them for ever.

Only folders with nothing else in them: the sign-in that Hugging Face keeps beside its cache is left alone.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from worker.desk.errors import Wrong
from worker.desk.moves import remove
from worker.desk.paths import FOLDER, Root, parts_of

CACHES = {
    "pip": (".cache/pip", ".cache/uv"),
    "huggingface": tuple(f".cache/huggingface/{name}" for name in ("hub", "datasets", "xet", "assets", "modules")),
    "torch": (".cache/torch",),
    "conda": (".conda/pkgs", ".cache/conda", ".mamba/pkgs"),
}


def sizes(root: Root, names: Iterable[str]) -> dict[str, int]:
    """Bytes of the disk that would come free, by cache."""
    return {name: sum(_size_at(root, path) for path in CACHES[name]) for name in names if name in CACHES}


def cleared(root: Root, names: Iterable[str]) -> dict[str, int]:
    """Empty them; bytes that came free, by cache. What cannot be removed stays, and is not counted."""
    known = [name for name in names if name in CACHES]
    before = sizes(root, known)
    for name in known:
        for path in CACHES[name]:
            with suppress(OSError, Wrong), root.folder(parts_of(path)) as handle:
                for inside in os.listdir(handle):
                    with suppress(OSError, Wrong):
                        remove(handle, inside)
    after = sizes(root, known)
    return {name: max(before[name] - after[name], 0) for name in known}


def _size_at(root: Root, path: str) -> int:
    try:
        with root.folder(parts_of(path)) as handle:
            return _size(handle)
    except (OSError, Wrong):
        return 0


def _size(handle: int) -> int:
    """What only this folder holds: a file that lies elsewhere as well would not come free."""
    total = 0
    for name in os.listdir(handle):
        with suppress(OSError):
            state = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(state.st_mode):
                below = os.open(name, FOLDER, dir_fd=handle)
                try:
                    total += _size(below)
                finally:
                    os.close(below)
            elif state.st_nlink <= 1:
                total += state.st_blocks * 512
    return total
