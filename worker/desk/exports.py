"""Folders of a workspace sent to a store that speaks S3, from here: in the owner's own network, with keys that are kept in memory alone.

boto3 does it (worker/desk/cloud.py): parts, further tries, signatures. Each file is compared with what the store says that it has.
"""

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO

from worker.desk.cloud import Store, Target
from worker.desk.errors import Wrong, wrong_of
from worker.desk.fetch import CANCELLED, DONE, FAILED, RUNNING, remembered, url_check
from worker.desk.paths import HOUSE, Parts, Root, parts_of

AT_ONCE, REMEMBERED = 2, 10
#: Bytes of one part; a store takes 10,000 parts of a file.
PART, PARTS = 8 * 1024**2, 9000
#: Folders nested deeper than this are not sent, and that is said.
DEEPEST = 64
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
KEY = re.compile(r"[\x21-\x7e]{1,200}")
FIELDS = ("endpoint", "region", "bucket", "prefix", "key", "secret")


@dataclass
class Export:
    """One folder on its way: how many files and bytes there are and are there, how it stands, and what to tell. The keys are not in it."""

    id: int
    folder: str
    place: str
    files: int = 0
    size: int = 0
    there: int = 0
    sent: int = 0
    spared: int = 0
    state: str = RUNNING
    words: str = ""
    began: float = 0.0


class Stopped(Exception):
    """Its owner has cancelled it."""


class Exports:
    """Those of one workspace since the page was opened."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known: list[Export] = []
        self._targets: dict[int, Target] = {}
        self._lock = threading.RLock()

    def all(self) -> list[Export]:
        """The newest first."""
        return list(reversed(self._known))

    @property
    def busy(self) -> bool:
        """Is one under way?"""
        return any(one.state == RUNNING for one in self._known)

    def start(self, folder: str, fields: "dict[str, str]") -> Export:
        """Begin to send a folder. Raises Wrong."""
        where = parts_of(folder)
        if where[:1] == (HOUSE,):
            raise Wrong("This folder is kept by the house.")
        with self._root.folder(where):
            pass
        return self._begin("/".join(where), target_of(fields))

    def again(self, number: int) -> None:
        """Once more with the same keys; what is there already is not sent again."""
        with self._lock:
            one = next((one for one in self._known if one.id == number and one.state != RUNNING), None)
            target = self._targets.get(number)
            if one is None or target is None:
                raise Wrong("It is not known any more. Begin it anew.", HTTPStatus.NOT_FOUND)
            self._begin(one.folder, target)
            self._known = [known for known in self._known if known is not one]

    def cancel(self, number: int) -> None:
        """Let it be; what is there already stays there."""
        for one in self._known:
            if one.id == number and one.state == RUNNING:
                one.state = CANCELLED

    def _begin(self, folder: str, target: Target) -> Export:
        with self._lock:
            if sum(one.state == RUNNING for one in self._known) >= AT_ONCE:
                raise Wrong("Two folders are being sent already. Wait for one of them.", HTTPStatus.TOO_MANY_REQUESTS)
            number = self._known[-1].id + 1 if self._known else 1
            one = Export(number, folder, f"{target.bucket}/{target.prefix}".rstrip("/"), began=time.time())
            self._known = [*remembered(self._known, REMEMBERED), one]
            self._targets = {known.id: self._targets[known.id] for known in self._known if known.id in self._targets} | {number: target}
        threading.Thread(target=self._run, args=(one, target), daemon=True).start()
        return one

    def _run(self, one: Export, target: Target) -> None:
        try:
            self._send(one, target)
        except Stopped:
            return
        except Wrong as wrong:
            self._fail(one, wrong.words)
        except OSError as error:
            self._fail(one, wrong_of(error).words)
        except Exception:  # whatever the store makes of its answers: one that never ended would keep the page open for ever
            self._fail(one, "What the store answered makes no sense.")

    def _fail(self, one: Export, words: str) -> None:
        if one.state == RUNNING:
            one.state, one.words = FAILED, words

    def _send(self, one: Export, target: Target) -> None:
        where = parts_of(one.folder)
        with Store(target) as store:
            store.look()
            files = list(_files(self._root, where))
            one.files, one.size = len(files), sum(size for _, size in files)
            for parts, _ in files:
                _going_on(one)
                self._one(one, store, parts, "/".join(parts[len(where) :]))
        if one.state == RUNNING:
            one.state = DONE
            self._targets.pop(one.id, None)

    def _one(self, one: Export, store: Store, parts: Parts, name: str) -> None:
        """One file: sent unless it is there, and compared."""
        before = one.sent
        with self._root.file(parts) as (handle, state), os.fdopen(os.dup(handle), "rb") as file:
            part = max(PART, -(-state.st_size // PARTS))
            mark = mark_of(file, part, state.st_size)
            if store.holds(name, state.st_size, mark):
                one.spared += 1
            else:
                file.seek(0)
                store.put(file, name, part, lambda count: _sent(one, count))
                after = os.fstat(handle)
                if (after.st_size, after.st_mtime_ns) != (state.st_size, state.st_mtime_ns):
                    raise Wrong(f"{'/'.join(parts)} changed while it was sent. Send the folder again when its program has ended.")
                if not store.holds(name, state.st_size, mark):
                    raise Wrong(f"{'/'.join(parts)} is not in the store as it is here. Send the folder again.")
        one.sent = before + state.st_size
        one.there += 1


def target_of(fields: "dict[str, str]") -> Target:
    """Where to, as it was filled in. Raises Wrong."""
    endpoint, region, bucket, prefix, key, secret = (fields.get(name, "").strip() for name in FIELDS)
    if endpoint:
        endpoint = url_check(endpoint)
    if not BUCKET.fullmatch(bucket):
        raise Wrong("The name of a bucket has 3 to 63 letters, digits, dots and hyphens.")
    if not KEY.fullmatch(key) or not KEY.fullmatch(secret):
        raise Wrong("Both keys are needed: the access key and the secret one that belongs to it.")
    if not re.fullmatch(r"[a-z0-9-]{0,40}", region):
        raise Wrong("A region is a word as eu-central-1.")
    parts = parts_of(prefix)
    if ".." in parts or not prefix.isprintable() or len(prefix) > 500:
        raise Wrong("The folder in the bucket is a path as runs/one.")
    return Target(endpoint, region or "us-east-1", bucket, "/".join(parts), key, secret)


def mark_of(file: IO[bytes], part: int, size: int) -> str:
    """What a store calls a file that came in such parts: the MD5 of one part, or of the MD5s of several with their number."""
    sums = []
    while chunk := file.read(part):
        sums.append(hashlib.md5(chunk, usedforsecurity=False))
    if size < part:
        return (sums or [hashlib.md5(usedforsecurity=False)])[0].hexdigest()
    return f"{hashlib.md5(b''.join(one.digest() for one in sums), usedforsecurity=False).hexdigest()}-{len(sums)}"


def _sent(one: Export, count: int) -> None:
    _going_on(one)
    one.sent += count


def _going_on(one: Export) -> None:
    if one.state != RUNNING:
        raise Stopped


def _files(root: Root, where: Parts) -> Iterator[tuple[Parts, int]]:
    """Every plain file below, with its bytes; the house's own folder and links are left out. Raises Wrong for a name that no store can have."""
    if len(where) > DEEPEST:
        raise Wrong("These folders are nested too deeply.")
    inner = []
    with root.folder(where) as handle:
        for name in sorted(os.listdir(handle)):
            with suppress(FileNotFoundError):
                state = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISREG(state.st_mode):
                    yield (*where, _sayable(name)), state.st_size
                elif stat.S_ISDIR(state.st_mode) and (*where, name) != (HOUSE,):
                    inner.append(name)
    for name in inner:
        yield from _files(root, (*where, _sayable(name)))


def _sayable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Wrong("A file here has a name that is no text, and a store takes none such. Rename it.") from None
    return name
