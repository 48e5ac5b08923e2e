"""Where data sets may lie, and how their names become folders of a lab. Pure."""

import re

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
VERSION = re.compile(r"[a-z0-9][a-z0-9.-]{0,19}")
#: A folder of the host's in /data already has this name: the house's own.
RESERVED = "shared"
FOLDER, VOLUME, NFS, S3 = "folder", "volume", "nfs", "s3"
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
