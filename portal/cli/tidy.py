"""Checkpoints and caches of one's workspace: what there is, and emptying caches."""

from collections.abc import Sequence
from typing import Any

from . import show
from .client import api
from .faults import MISSING, Fault


def shown(*, look: bool) -> None:
    """What the last look found on each machine; with `look`, look again first."""
    client = api()
    said = client.post("/files/tidying/look", once=True) if look else client.get("/files/tidying")
    if look:
        show.say("Your files are being looked through: ask again in a minute.")
    cells = [cell for place in said["places"] for cell in _about(place)]
    empty = "Nothing was looked at yet: gpulab tidy --look"
    show.table([said], ("MACHINE", "WHAT", "SIZE", "STAYS"), cells, empty=empty) if cells or show.as_json else show.result(said, empty)


def clear(caches: Sequence[str]) -> None:
    """Empty these caches on every machine that holds files."""
    client = api()
    nodes = [place["node"] for place in client.get("/files/tidying")["places"]]
    if not nodes:
        raise Fault("You have no workspace that was measured yet.", code=MISSING)
    made = [client.post("/files/tidying/clear", {"node": node, "caches": list(caches)}, once=True) for node in nodes]
    show.result(made, f"{', '.join(caches)}: being emptied on {', '.join(nodes)}. What came free is on your page Checkpoints and caches.")


def _about(place: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    caches = [(place["node"], f"cache {name}", _mib(size), "") for name, size in place["caches"].items() if size]
    return caches + [(place["node"], one["path"], _mib(one["bytes"]), one["stays"] or "would go") for one in place["checkpoints"]]


def _mib(size: int) -> str:
    return f"{size / show.KIB**2:,.1f} MiB"
