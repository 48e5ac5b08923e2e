"""A program of its own that adds up a folder's files and makes one checksum of them all, and gives way to everything else.

    python -I sums.py FOLDER    prints {"size": bytes, "files": count, "checksum": sha256}

The checksum is what a shell says there: find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
"""

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

CHUNK = 1 << 20


def files_below(folder: bytes) -> list[bytes]:
    """Regular files as `find . -type f` names them, sorted by their bytes. A folder that cannot be read raises OSError."""
    found = []

    def raised(error: OSError) -> None:
        raise error

    for root, _, names in os.walk(folder, onerror=raised):
        below = b"." + root[len(folder) :]
        found += [below + b"/" + name for name in names if _is_file(root + b"/" + name)]
    return sorted(found)


def _is_file(path: bytes) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)


def line_of(name: bytes, digest: str) -> bytes:
    """One line as sha256sum writes it, which marks names that would break it."""
    shown = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if shown != name else b"") + digest.encode() + b"  " + shown + b"\n"


def main(folder: bytes) -> dict[str, object]:
    """Read everything once."""
    whole, size, names = hashlib.sha256(), 0, files_below(folder)
    for name in names:
        with Path(os.fsdecode(folder + name[1:])).open("rb", buffering=0) as file:
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        whole.update(line_of(name, digest.hexdigest()))
    return {"size": size, "files": len(names), "checksum": whole.hexdigest()}


if __name__ == "__main__":
    os.nice(19)
    sys.stdout.write(json.dumps(main(os.fsencode(sys.argv[1]).rstrip(b"/"))))
