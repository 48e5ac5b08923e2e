"""Making folders, moving without overwriting, and removing for ever."""

import ctypes
import errno
import os
import stat
from contextlib import suppress

from worker.desk.errors import Wrong
from worker.desk.paths import FOLDER, Parts, Root, name_check, own_check

NO_REPLACE = 1
#: So many names are tried for what is kept beside another.
MOST_NAMES = 1000
_libc = ctypes.CDLL(None, use_errno=True)


def folder_make(root: Root, where: Parts, name: str) -> None:
    """A new folder. Raises OSError when the name is taken."""
    own_check((*where, name_check(name)))
    with root.folder(where) as handle:
        os.mkdir(name, 0o755, dir_fd=handle)


def move(root: Root, what: Parts, where: Parts, name: str) -> None:
    """To another folder, or to another name; nothing is ever overwritten. Raises OSError."""
    own_check(what)
    own_check((*where, name_check(name)))
    with root.beside(what) as (source, old), root.folder(where) as target:
        rename(source, old, target, name)


def rename(source: int, old: str, target: int, name: str) -> None:
    """From one open folder to another, in one step that refuses a name that is taken. Raises FileExistsError."""
    if _libc.renameat2(source, os.fsencode(old), target, os.fsencode(name), NO_REPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), name)
    with suppress(FileNotFoundError):  # a file system without that step, a network's: looked at first
        os.stat(name, dir_fd=target, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.rename(old, name, src_dir_fd=source, dst_dir_fd=target)


def rename_beside(source: int, old: str, target: int, name: str) -> str:
    """The same, under the next free name like `name (2)` where it is taken; the name that it has now."""
    for tried in _names(name):
        try:
            rename(source, old, target, tried)
        except FileExistsError:
            continue
        return tried
    raise Wrong("There are too many things of that name already.")


def _names(name: str) -> list[str]:
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    return [name, *(f"{_cut(stem, 240 - len(ending))} ({number}){dot}{ending}" for number in range(2, MOST_NAMES))]


def _cut(stem: str, most: int) -> str:
    """So that the longest name still has room for a number."""
    while len(os.fsencode(stem)) > max(most, 1):
        stem = stem[:-1]
    return stem


def remove(folder: int, name: str) -> int:
    """Remove it for ever, a folder with all that is in it; the bytes that were in its files. No link is followed. Raises OSError."""
    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(state.st_mode):
        os.unlink(name, dir_fd=folder)
        return state.st_size if state.st_nlink <= 1 else 0
    try:
        freed = _emptied(folder, name)
    except RecursionError:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None
    os.rmdir(name, dir_fd=folder)
    return freed


def _emptied(folder: int, name: str) -> int:
    handle = os.open(name, FOLDER, dir_fd=folder)
    try:
        with suppress(OSError):
            os.fchmod(handle, 0o700)  # a folder that nobody may write in, as package caches are
        return sum(remove(handle, inside) for inside in os.listdir(handle))
    finally:
        os.close(handle)
