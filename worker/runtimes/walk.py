"""A program of its own that counts what a folder takes of its disk, as `du` does, and gives way to everything else.

    python -I walk.py FOLDER SECONDS    prints {"size": bytes, "files": count, "whole": true}

The folder belongs to somebody who may change it meanwhile. No link is followed: a folder is opened only as what it was when it was listed. Other file
systems are left out, a file of several names counts once. `whole` is false when the time was up or something could not be read.
"""

import errno
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing

#: What is gone meanwhile, or became something else, is not missing.
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
BLOCK = 512


class Walk:
    """Counts until it is done or its time is up."""

    def __init__(self, folder: str, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.size = self.files = 0
        self.whole = True
        self._linked: set[int] = set()
        self._left = [(folder, os.lstat(folder))]
        self._device = self._left[0][1].st_dev

    def run(self) -> dict[str, object]:
        """Folder by folder."""
        while self._left and self._in_time():
            path, listed = self._left.pop()
            try:
                self._folder(path, listed)
            except OSError as error:
                self.whole = self.whole and error.errno in GONE
        return {"size": self.size, "files": self.files, "whole": self.whole}

    def _in_time(self) -> bool:
        """Is there time left? If not, what was counted is not all."""
        if time.monotonic() <= self.until:
            return True
        self.whole = False
        return False

    def _folder(self, path: str, listed: os.stat_result) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not os.path.samestat(os.fstat(handle), listed):
                return
            self._count(listed)
            for name, state in _states(handle):
                if state.st_dev != self._device:
                    continue
                if stat.S_ISDIR(state.st_mode):
                    self._left.append((f"{path}/{name}", state))
                else:
                    self._count(state)
                if not self._in_time():
                    return
        finally:
            os.close(handle)

    def _count(self, state: os.stat_result) -> None:
        if state.st_nlink > 1 and not stat.S_ISDIR(state.st_mode):
            if state.st_ino in self._linked:
                return
            self._linked.add(state.st_ino)
        self.size += state.st_blocks * BLOCK
        self.files += 1


def _states(handle: int) -> Iterator[tuple[str, os.stat_result]]:
    """What lies in an open folder; what is gone before it was looked at is left out."""
    with closing(os.scandir(handle)) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


if __name__ == "__main__":
    os.nice(19)
    sys.stdout.write(json.dumps(Walk(sys.argv[1], float(sys.argv[2])).run()))
