"""What is in the house: images, one's quota, the queue."""

from typing import Any

from . import show
from .client import api
from .labs import image_find

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


def image(name: str) -> None:
    """One image: what is in it, where it computes, how it is used."""
    client = api()
    found = client.get(f"/images/{image_find(client, name)}")
    cells = [(what, words) for what, words in _about_image(found) if words]
    show.table([found], (found["slug"].upper(), found["title"]), cells, empty="")


def _about_image(found: dict[str, Any]) -> list[tuple[str, str]]:
    nodes = [f"{row['node']}: {row['percent']} %" if row["state"] == "pulling" else f"{row['node']}: {row['state']}" for row in found["nodes"]]
    scan, used = found["weaknesses"], found["used"]
    return [
        ("id", str(found["id"])),
        ("offered", "yes" if found["offered"] else "no"),
        ("what it is", found["description"]),
        ("PyTorch", found["torch"]),
        ("CUDA", found["cuda"] or "none: a CPU build"),
        ("cuDNN", found["cudnn"] or ""),
        ("Python", found["python"]),
        ("compiled for", ", ".join(found["sass"] or ())),
        ("JupyterLab", found["jupyterlab"] or ""),
        ("size", f"{found['size'] / show.KIB**3:.1f} GiB" if found["size"] else ""),
        ("made", show.moment(found["made_at"])),
        ("on nodes", "\n".join(nodes) or "none yet"),
        ("cards", "\n".join(f"{one['node']}, {one['model']}: {one['words'] or one['answer']}" for one in found["fits"])),
        ("tried", "\n".join(f"{one['card']} {one['driver']}: {one['state']}. {one['words']}".strip() for one in found["tried"])),
        ("used", f"{used['labs']} labs of {used['people']} people in 30 days"),
        ("weaknesses", (", ".join(f"{count} {severity}" for severity, count in scan["counts"].items()) or "none known") if scan else "not looked for"),
        ("packages", f"{len(found['packages'])}, listed by --json" if found["packages"] else ""),
        ("fault", found["fault"]),
    ]


def quota() -> None:
    """Held, left, limit."""
    me = api().get("/me")
    limits = me["limits"] | {"gpus": me["limits"]["gpus_max"]}
    cells = [(words, _number(me["held"][name]), _number(me["left"][name]), _number(limits[name], "no limit")) for name, words in WORDS.items()]
    rows = {name: me[name] for name in ("limits", "held", "left", "groups", "workspaces")}
    show.table([rows], ("WHAT", "HELD", "LEFT", "LIMIT"), cells, empty="")


def queue() -> None:
    """Everybody who waits, in order."""
    rows = list(api().all("/queue", limit=1000))
    cells = [(str(row["place"] or "-"), row["name"] or "somebody's", str(row["gpus"]), _about(row["estimate"])) for row in rows]
    show.table(rows, ("PLACE", "LAB", "GPUS", "ABOUT"), cells, empty="Nobody waits.")


def _number(value: Any, none: str = "") -> str:
    return none if value is None else f"{value:g}"


def _about(estimate: dict[str, str] | None) -> str:
    return f"{show.moment(estimate['soonest'])} - {show.moment(estimate['latest'])}" if estimate else "not known yet"
