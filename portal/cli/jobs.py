"""Jobs: run a program, follow its log, end as it ended; or keep it for the clock."""

import sys
import time
from typing import Any

from . import show
from .client import Api, api, lab_find
from .faults import MISSING, NOT_RUN, TIME_UP, USAGE, Fault, Interrupted
from .labs import ENDED, LOOK_S, Wish, until

#: A portal that is away for a while is waited for: the job runs on without it.
PATIENCE_S = 600.0


def run(wish: Wish, command: list[str], folder: str, *, detach: bool) -> int:
    """Queue it, follow it; its own exit code."""
    client = api()
    body = wish.body(client) | {"command": command, "folder": folder}
    lab = client.post("/labs", body, once=True)
    if detach:
        show.result(lab, f"{lab['name']} is {lab['state']}. Follow it: gpulab logs -f {lab['name']}")
        return 0
    try:
        lab = until(client, lab, ("running", "stopping", *ENDED))
        lab = _follow(client, lab)
    except Interrupted:
        show.say(f"\n{lab['name']} goes on without this terminal. Follow it: gpulab logs -f {lab['name']}   End it: gpulab stop {lab['name']}")
        raise
    if show.as_json:
        show.print_json(lab)
    return _exit_code(lab)


def schedule(wish: Wish, command: list[str], folder: str, *, cron: str) -> None:
    """Keep it for the house's clock; says when it runs next."""
    if not wish.name:
        raise Fault("Name what is kept: --name nightly", code=USAGE)
    client = api()
    job = wish.body(client) | {"command": command, "folder": folder}
    made = client.post("/jobs", {"name": wish.name, "kind": "schedule", "cron": cron, "job": job}, once=True)
    show.result(made, f"{wish.name} runs {made['when']}. Next, by this machine's clock: {', '.join(show.moment(at) for at in made['next_runs'])}.")


def kept() -> None:
    """One's jobs that start by themselves."""
    rows = list(api().all("/jobs"))
    cells = [
        (row["name"], row["when"], "paused" if row["paused"] else show.moment(row["next_at"]), row["last_words"] or show.moment(row["last_at"])) for row in rows
    ]
    show.table(
        rows,
        ("JOB", "STARTS", "NEXT", "LAST"),
        cells,
        empty='No job starts by itself. Keep one: gpulab run --name nightly --cron "0 3 * * *" -- python train.py',
    )


def remove(name: str) -> None:
    """Let it start no more."""
    client = api()
    row = next((row for row in client.all("/jobs") if row["name"] == name), None)
    if row is None:
        raise Fault(f"You have no job {name!r} that starts by itself. `gpulab jobs` lists yours.", code=MISSING)
    client.send("DELETE", f"/jobs/{row['id']}")
    show.result({"removed": name}, f"{name} starts no more. What it has run stays.")


def logs(name: str, *, follow: bool) -> None:
    """What it has printed; with `follow` until it ends."""
    client = api()
    lab = lab_find(client, name)
    if follow and lab["state"] not in ENDED:
        _follow(client, lab)
        return
    answer = client.get(f"/labs/{lab['id']}/log")
    if show.as_json:
        show.print_json(answer)
    else:
        sys.stdout.write(answer["text"])


def _follow(client: Api, lab: dict[str, Any]) -> dict[str, Any]:
    """Print what is new of its log until it has ended."""
    seen, last = "", time.monotonic()
    while True:
        try:
            now = client.get(f"/labs/{lab['id']}")
            text = client.get(f"/labs/{lab['id']}/log")["text"]
            last = time.monotonic()
        except Interrupted:
            raise
        except Fault:
            if time.monotonic() - last > PATIENCE_S:
                raise
            time.sleep(LOOK_S)
            continue
        if not show.as_json:
            sys.stdout.write(news(seen, text))
            sys.stdout.flush()
        seen, lab = text or seen, now
        if lab["state"] in ENDED:
            show.say(f"{lab['name']} {lab['state']}: {lab['reason']}")
            return lab
        time.sleep(LOOK_S)


def news(seen: str, text: str) -> str:
    """What `text` has that `seen` had not: both are the end of the same growing log."""
    if not seen or not text:
        return text
    if text.startswith(seen):
        return text[len(seen) :]
    overlap = min(len(seen), len(text))
    while overlap and not text.startswith(seen[-overlap:]):
        overlap -= 1
    return text[overlap:] if overlap else f"[… some lines are only in the job's output.log …]\n{text}"


def _exit_code(lab: dict[str, Any]) -> int:
    if lab["exit_code"] is not None:
        return int(lab["exit_code"])
    return TIME_UP if lab["end"] == "time_up" else NOT_RUN
