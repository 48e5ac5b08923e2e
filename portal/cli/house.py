"""What is in the house: images, one's quota, the queue."""

from typing import Any

from . import show
from .client import api

WORDS = {
    "gpus": "GPUs at once", "labs": "labs at once", "pending": "labs that wait", "cpus": "CPU cores", "memory_gib": "memory, GiB",
    "gpu_hours_week": "GPU-hours in 7 days", "gpu_hours_month": "GPU-hours in 30 days", "disk_gib": "disk, GiB",
}  # fmt: skip


def whoami() -> None:
    """Name, address, role, portal."""
    client = api()
    me = client.get("/me")
    who = {"url": client.url} | {name: me[name] for name in ("email", "display_name", "role", "scope")}
    show.result(who, f"{me['display_name']} <{me['email']}>, {me['role']}, at {client.url}. This sign-in may: {me['scope']}.")


def images() -> None:
    """Images on offer."""
    rows = list(api().all("/images"))
    cells = [(row["slug"], row["title"], row["torch"], row["cuda"] or "none", "yes" if row["ready"] else "not yet") for row in rows]
    show.table(rows, ("IMAGE", "TITLE", "TORCH", "CUDA", "READY"), cells, empty="No image is offered yet.")


def quota() -> None:
    """Held, left, limit."""
    me = api().get("/me")
    limits = me["limits"] | {"gpus": me["limits"]["gpus_max"]}
    cells = [(words, _number(me["held"][name]), _number(me["left"][name]), _number(limits[name], "no limit")) for name, words in WORDS.items()]
    rows = {name: me[name] for name in ("limits", "held", "left", "groups", "workspaces")}
    show.table([rows], ("WHAT", "HELD", "LEFT", "LIMIT"), cells, empty="")


def queue() -> None:
    """Everybody who waits, in order."""
    found = api().get("/queue")
    cells = [(str(row["place"] or "-"), row["name"] or "somebody's", str(row["gpus"]), _about(row["estimate"])) for row in found["items"]]
    show.table(found["items"], ("PLACE", "LAB", "GPUS", "ABOUT"), cells, empty="Nobody waits.")


def _number(value: Any, none: str = "") -> str:
    return none if value is None else f"{value:g}"


def _about(estimate: dict[str, str] | None) -> str:
    return f"{show.moment(estimate['soonest'])} - {show.moment(estimate['latest'])}" if estimate else "not known yet"
