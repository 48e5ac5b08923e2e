"""Where data sets may lie, and how their names become folders of a lab. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labs.fleet.rules import plain_words

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,19}")
#: A folder of the host's in /data already has this name: the house's own.
RESERVED = "shared"
FOLDER, VOLUME, NFS, S3 = "folder", "volume", "nfs", "s3"
#: How many a lab may ask for.
MOST_WANTED = 20
UNREAD = "the node has not read it yet."
_WANTED = re.compile(rf"({NAME.pattern})(@{VERSION.pattern})?")
_HOST, _PATH = r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}", r"[A-Za-z0-9_./@+-]{0,200}"
_SOURCES = {
    FOLDER: (rf"/{_PATH}", "An absolute folder of the nodes, such as /srv/data/flowers."),
    VOLUME: (r"(?!gpulab-)[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "The name of a volume of the engine, such as flowers; none that begins with gpulab-."),
    NFS: (rf"{_HOST}:/{_PATH}", "server:/folder of an NFS server, such as files.example.edu:/export/flowers."),
    S3: (rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,40}}:[A-Za-z0-9]{_PATH}", "remote:bucket/folder, with a remote of the nodes' rclone settings."),
}


def source_fault(backend: str, source: str) -> str:
    """What is wrong with a place, in words; empty when nothing is."""
    pattern, words = _SOURCES[backend]
    parts = source.partition(":")[2].split("/") if backend in (NFS, S3) else source.split("/")
    detours = any(part in (".", "..") for part in parts) or "//" in source or (backend == FOLDER and source.endswith("/"))
    return "" if re.fullmatch(pattern, source) and not detours else words


def targets(sets: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Where each (name, version) is seen, given newest first: every version under its own name, the newest also under the set's."""
    found: dict[str, tuple[str, str]] = {}
    for name, version in sets:
        found.setdefault(f"/data/{name}", (name, version))
        found[f"/data/{name}@{version}"] = (name, version)
    return found


@dataclass(frozen=True, slots=True)
class Shelf:
    """A version of a set and where it is. `places`: by node, empty where labs see it, else what is the matter. `groups`: for whom; none for everybody.

    `encrypted_only`: no lab sees it where workspaces do not lie encrypted, which `places` say.
    """

    name: str
    version: str
    title: str
    licence: str
    size: int
    groups: frozenset[int]
    places: Mapping[str, str]
    encrypted_only: bool = False

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def is_for(self, groups: Iterable[int]) -> bool:
        """May somebody of these groups use it?"""
        return not self.groups or not self.groups.isdisjoint(groups)


def barred_words(encrypts: bool | None) -> str:
    """Why labs of a node do not see a set that asks for encrypted workspaces; empty where they do."""
    plain = plain_words(encrypts)
    return f"{plain}, and the data set asks that they do." if plain else ""


def wanted_fault(wanted: Iterable[str]) -> str:
    """What is wrong with the names of sets that a lab asks for, in words; empty when nothing is."""
    names = list(wanted)
    if len(names) > MOST_WANTED:
        return f"A lab asks for at most {MOST_WANTED} data sets."
    strange = next((one for one in names if not _WANTED.fullmatch(one)), None)
    return f"{strange[:60]!r} is no name of a data set. It is the folder below /data: flowers, or flowers@2 for one version." if strange is not None else ""


def matching(wanted: str, shelves: Iterable[Shelf]) -> list[Shelf]:
    """The versions that a name stands for: `flowers` for any, `flowers@2` for that one."""
    return [one for one in shelves if wanted in (one.name, str(one))]


def lacking(wanted: Sequence[str], shelves: Iterable[Shelf], nodes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The nodes (id -> name) that have not all of the sets, each with why, in words. `shelves` are those that the person may use."""
    held = list(shelves)
    found = {node_id: [words for one in wanted if (words := _absent(one, held, node_id, name))] for node_id, name in nodes.items()}
    return tuple((node_id, " ".join(words)) for node_id, words in found.items() if words)


def _absent(wanted: str, shelves: Iterable[Shelf], node_id: str, name: str) -> str:
    places = [one.places for one in matching(wanted, shelves)]
    if not places:
        return f"The data set {wanted} is not offered to you any more."
    if any(one.get(node_id, UNREAD) == "" for one in places):
        return ""
    return f"The data set {wanted} is not on node {name}: {places[0].get(node_id, UNREAD)}"
