"""Checkpoints in folders of a workspace: which there are, and putting some of them into the trash. Which, is decided by whoever asks."""

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from worker.desk.errors import Wrong
from worker.desk.paths import FOLDER, Parts, Root, own_check, parts_of
from worker.desk.trash import throw

ENDINGS = (".ckpt", ".pt", ".pth", ".safetensors", ".bin", ".h5", ".hdf5", ".keras", ".npz", ".msgpack", ".onnx", ".tar", ".zip")
#: How names of folders begin or end that are one checkpoint, as Transformers and sharded ones of Lightning are.
STARTS, FOLDER_ENDINGS = ("checkpoint-", "checkpoint_", "step-", "step_", "epoch=", "epoch-", "epoch_", "global_step"), (".ckpt", ".orbax")
#: So deep is looked for folders of runs, and so many are told.
DEPTH, MOST = 3, 2000
#: Nothing is thrown away that was changed so lately, whatever was asked.
QUIET_S = 600.0


@dataclass(frozen=True)
class Found:
    """One checkpoint: its way, bytes of the disk, when anything in it was written last and when it was touched at all (moved, restored), and
    whether a link beside it leads to it."""

    path: str
    size: int
    changed: float
    touched: float
    linked: bool


def is_checkpoint(name: str, folder: bool) -> bool:
    """By its name alone."""
    low = name.lower()
    if folder:
        return low.startswith(STARTS) or low.endswith(FOLDER_ENDINGS)
    return low.endswith(ENDINGS)


def found_in(root: Root, folders: Iterable[str]) -> tuple[list[Found], list[str], bool]:
    """All of these folders and of those of runs in them; the folders that are not there; and whether there were more than are told."""
    found: dict[str, Found] = {}
    missing: list[str] = []
    for folder in folders:
        try:
            for one in _below(root, own_check(parts_of(folder)), DEPTH):
                found[one.path] = one
                if len(found) >= MOST:
                    return list(found.values()), missing, True
        except (OSError, Wrong):
            missing.append(folder)
    return list(found.values()), missing, False


def thrown_away(root: Root, items: Iterable[Mapping[str, Any]], folders: Iterable[str]) -> list[str]:
    """Into the trash with those that are still what was seen; the ways of those that went."""
    here = {one.path: one for one in found_in(root, folders)[0]}
    gone = []
    for item in items:
        one = here.get(str(item.get("path")))
        if one is None or one.linked or one.changed != item.get("changed") or one.touched > time.time() - QUIET_S:
            continue
        with suppress(OSError, Wrong):
            throw(root, parts_of(one.path))
            gone.append(one.path)
    return gone


def _below(root: Root, where: Parts, depth: int) -> Iterator[Found]:
    inner = []
    with root.folder(where) as handle:
        names = sorted(os.listdir(handle))
        linked = {_target(handle, name) for name in names}
        for name in names:
            with suppress(FileNotFoundError):
                state = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
                    continue
                if is_checkpoint(name, stat.S_ISDIR(state.st_mode)):
                    yield Found("/".join((*where, name)), *_measured(handle, name, state), linked=name in linked)
                elif stat.S_ISDIR(state.st_mode) and depth > 1:
                    inner.append(name)
    for name in inner:
        with suppress(OSError):  # one that is closed, or became a link meanwhile
            yield from _below(root, (*where, name), depth - 1)


def _target(folder: int, name: str) -> str:
    """The name beside it that a link leads to; empty for what is no such link. The link itself is never followed."""
    try:
        return os.readlink(name, dir_fd=folder).rstrip("/").rpartition("/")[2]
    except OSError:
        return ""


def _measured(folder: int, name: str, state: os.stat_result) -> tuple[int, float, float]:
    """Bytes, when it was written last, and when it was touched: of a folder, all that is in it."""
    size, changed, touched = state.st_blocks * 512, state.st_mtime, max(state.st_mtime, state.st_ctime)
    if not stat.S_ISDIR(state.st_mode):
        return size, changed, touched
    try:
        handle = os.open(name, FOLDER, dir_fd=folder)
    except OSError:
        return size, changed, time.time()  # what cannot be looked into is left alone
    try:
        for inside in os.listdir(handle):
            with suppress(FileNotFoundError):
                more, later, last = _measured(handle, inside, os.stat(inside, dir_fd=handle, follow_symlinks=False))
                size, changed, touched = size + more, max(changed, later), max(touched, last)
    finally:
        os.close(handle)
    return size, changed, touched
