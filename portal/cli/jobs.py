"""Jobs: run a program, follow its log, end as it ended."""

import sys
import time
from typing import Any

from . import show
from .client import Api, api, lab_find
from .faults import NOT_RUN, TIME_UP, Fault, Interrupted
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
