"""The GPUs, live in the terminal."""

import sys
import time
from typing import Any

from . import show
from .client import Api, api
from .faults import Fault, Interrupted

EVERY_S = 2.0
COLUMNS = ("GPU", "NODE", "MODEL", "HOLDER", "BUSY", "MEMORY", "°C", "WATT", "HEALTH")
BAR = 10


def top(*, once: bool) -> None:
    """A table that renews itself until Ctrl-C; once where nobody watches."""
    client = api()
    if once or show.as_json or not sys.stdout.isatty():
        rows = list(client.all("/gpus"))
        show.table(rows, COLUMNS, [cells(row) for row in rows], empty="This house has no GPU.")
        return
    from rich.live import Live

    with Live(_picture(client), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(EVERY_S)
            live.update(_picture(client), refresh=True)


def _picture(client: Api) -> Any:
    from rich.console import Group
    from rich.text import Text

    try:
        rows = list(client.all("/gpus"))
    except Interrupted:
        raise
    except Fault as fault:
        return Text(f"{fault.words} Trying again.")
    free = sum(row["state"] == "free" for row in rows)
    return Group(Text(f"{client.url}   {free} of {len(rows)} GPUs free   {time.strftime('%H:%M:%S')}   Ctrl-C ends"), show.grid(COLUMNS, map(cells, rows)))


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One card's line; what a sensor does not tell is a dash."""
    now = row["reading"] or {}
    model = f"{row['model']} (simulated)" if row["simulated"] else row["model"]
    memory = f"{now['memory_used_mib'] / 1024:.0f}/{row['memory_mib'] / 1024:.0f} GiB" if now.get("memory_used_mib") is not None else "-"
    holder = row["holder"] or row["state"]
    return (row["uuid"][:12], row["node"], model, holder, _bar(now.get("gpu_pct")), memory, _whole(now.get("temperature_c")), _whole(now.get("power_w")),
            row["health"])  # fmt: skip


def _bar(percent: float | None) -> str:
    if percent is None:
        return "-"
    full = round(percent / 100 * BAR)
    return f"{'█' * full}{'·' * (BAR - full)} {percent:3.0f}%"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
