"""A program of its own that says in one number what a folder holds, and gives way to everything else.

    python -I digest.py FOLDER    prints {"digest": sha256, "size": bytes, "files": count}

Two folders have the same number when every file, folder, link and hard link below them has the same name, content, permissions and time. Owners are left
out. No link is followed. `--quick` counts without reading contents: the number says nothing then.
"""

import hashlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

CHUNK = 1024 * 1024


class Tree:
    """Walks a folder in one order everywhere."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self._folder, self._quick = folder, quick
        self._linked: dict[int, Path] = {}
        self._all: Any = hashlib.sha256()
        self.size = self.files = 0

    def run(self) -> dict[str, object]:
        """From its root, which counts with its permissions."""
        left = [self._folder]
        while left:
            path = left.pop()
            state = path.lstat()
            self._add(path, state)
            if stat.S_ISDIR(state.st_mode):
                left += sorted(path.iterdir(), key=os.fsencode, reverse=True)
        return {"digest": self._all.hexdigest(), "size": self.size, "files": self.files}

    def _add(self, path: Path, state: os.stat_result) -> None:
        self.files += 1
        kind, when = stat.S_IFMT(state.st_mode), 0 if stat.S_ISLNK(state.st_mode) else state.st_mtime_ns
        self._say(self._name(path), b"%o %o %d" % (kind, stat.S_IMODE(state.st_mode), when))
        if stat.S_ISLNK(state.st_mode):
            self._say(os.fsencode(path.readlink()))
        elif stat.S_ISREG(state.st_mode):
            self._say(self._file(path, state))

    def _file(self, path: Path, state: os.stat_result) -> bytes:
        if state.st_nlink > 1 and (first := self._linked.setdefault(state.st_ino, path)) != path:
            return b"the same as " + self._name(first)
        self.size += min(state.st_size, state.st_blocks * 512)  # holes are not carried
        return b"" if self._quick else _content(path)

    def _name(self, path: Path) -> bytes:
        return os.fsencode(path.relative_to(self._folder))

    def _say(self, *words: bytes) -> None:
        for word in words:
            self._all.update(b"%d:" % len(word) + word)


def _content(path: Path) -> bytes:
    made = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            made.update(chunk)
    return made.digest()


if __name__ == "__main__":
    os.nice(10)
    quick = sys.argv[1] == "--quick"
    sys.stdout.write(json.dumps(Tree(Path(sys.argv[-1]), quick=quick).run()))
