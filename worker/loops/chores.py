"""What people wish to have tidied in their workspaces on this node: done by their file page, which is theirs, and leads nowhere else.

What goes is decided here, by a rule; the page tells what there is, and throws away only what is still what it told.
"""

import http.client
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from labs.files.models import Desk
from labs.lifecycle.tokens import upstream_token
from labs.tidying.models import Chore
from labs.tidying.queries import chores_open
from labs.tidying.rules import CACHE_WORDS, CHECKPOINTS, LOOK, Checkpoint, Keep, Verdict, judged
from labs.tidying.services import chore_done, chore_failed, chores_plan
from worker.asking import Unanswered, ask, understood
from worker.hands import Hands

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="chores")
#: Emptying a cache of a million files takes minutes; nobody waits for it.
DEADLINE_S = 600
#: Bytes of one answer: two thousand checkpoints, however long their names are.
MOST = 16 * 1024 * 1024
#: So much of what was seen is kept for the page; the sums are of all.
SHOWN = 200
#: So many are thrown away in one request: names may be long.
AT_ONCE = 200
SILENT = "Your files did not answer. Try again in a minute."
Told = dict[str, Any]


class Silent(Exception):
    """The file page did not do it; its words, if it had any."""


def house_tick(*, now: datetime) -> None:
    """Ask for what is due by people's rules, on every node."""
    chores_plan(now=now)


def tick(*, hands: Hands, now: datetime) -> None:
    """Begin what is asked for where the owner's files are open by now; the house's own tick has them opened."""
    waiting = chores_open(node_id=hands.node_id)
    desks = {desk.owner_id: desk for desk in Desk.objects.filter(node_id=hands.node_id, state=Desk.State.OPEN, owner__in=[one.owner_id for one in waiting])}
    for chore in waiting:
        if desk := desks.get(chore.owner_id):
            hands.once(pool, f"chore:{chore.owner_id}", lambda chore=chore, desk=desk: do(chore=chore, desk=desk, hands=hands))  # type: ignore[misc]


def do(*, chore: Chore, desk: Desk, hands: Hands) -> bool:
    """Do one, and write down what came of it. Was it done?"""
    try:
        if chore.kind == LOOK:
            found, count, freed = _looked(chore, desk, hands.clock()), 0, 0
        elif chore.kind == CHECKPOINTS:
            found, count, freed = _thrown(chore, desk, hands.clock())
        else:
            said = asked(desk, {"do": "clear", "caches": chore.given.get("caches", [])})
            sums = _sums(said.get("freed"))
            found, count, freed = {"caches": sums}, 0, sum(sums.values())
    except Silent as silent:
        log.warning("%s is not done: %s", chore, silent)
        chore_failed(chore=chore, words=str(silent), now=hands.clock())
        return False
    return chore_done(chore=chore, found=found, count=count, freed=freed, now=hands.clock())


def _looked(chore: Chore, desk: Desk, now: datetime) -> Told:
    verdicts, said = _judged(chore, desk, now)
    goes = [one for one in verdicts if one.goes]
    shown = sorted(verdicts, key=lambda verdict: not verdict.goes)[:SHOWN]
    return {
        "seen": [{"path": one.one.path, "size": one.one.size, "changed": one.one.changed, "stays": one.stays} for one in shown],
        "all": len(verdicts),
        "goes": len(goes),
        "bytes": sum(one.one.size for one in goes),
        "missing": [folder for folder in chore.given["folders"] if folder in said.get("missing", [])],
        "more": bool(said.get("more")),
        "caches": _sums(said.get("caches")),
    }


def _thrown(chore: Chore, desk: Desk, now: datetime) -> tuple[Told, int, int]:
    goes = {verdict.one.path: verdict.one for verdict in _judged(chore, desk, now)[0] if verdict.goes}
    if not goes:
        return {"gone": []}, 0, 0
    items = [{"path": one.path, "changed": one.changed} for one in goes.values()]
    parts = (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
    said = [path for part in parts for path in asked(desk, {"do": "throw", "folders": chore.given["folders"], "items": part}).get("gone", [])]
    gone = [goes[path] for path in said if path in goes]
    return {"gone": [{"path": one.path, "size": one.size} for one in gone[:SHOWN]]}, len(gone), sum(one.size for one in gone)


def _judged(chore: Chore, desk: Desk, now: datetime) -> tuple[list[Verdict], Told]:
    """What the rule says of what the page tells, and what else it told. The page is its owner's: nothing in it is taken for more than it is."""
    given = chore.given
    said = asked(desk, {"do": "look", "folders": given["folders"]})
    found = [one for told in said.get("found", []) if (one := _checkpoint(told, given["folders"]))]
    return judged(found, Keep(given["newest"], given["metric"], given["direction"]), now=now.timestamp()), said


def _checkpoint(told: object, folders: list[str]) -> Checkpoint | None:
    """None for a name that no record can hold, and for what is in none of the folders."""
    if not isinstance(told, dict):
        return None
    path, numbers = told.get("path"), [told.get(name) for name in ("size", "changed", "touched")]
    if not isinstance(path, str) or not _writable(path) or not any(path.startswith(f"{folder}/") for folder in folders):
        return None
    if not all(isinstance(number, (int, float)) for number in numbers):
        return None
    return Checkpoint(path, int(told["size"]), float(told["changed"]), float(told["touched"]), bool(told.get("linked")))


def _writable(path: str) -> bool:
    try:
        return "\0" not in path and bool(path.encode())
    except UnicodeEncodeError:
        return False


def _sums(told: object) -> dict[str, int]:
    known = told if isinstance(told, dict) else {}
    return {name: size for name in CACHE_WORDS if isinstance(size := known.get(name), int)}


def asked(desk: Desk, what: Told) -> Told:
    """What the file page says to it. Raises Silent."""
    token = upstream_token(lab_id=desk.pk, attempt=desk.attempt)
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    address, path = (desk.host, desk.port or 0), f"{desk.base_url}chore"
    try:
        status, answer = ask(address=address, path=path, within=DEADLINE_S, method="POST", headers=headers, body=json.dumps(what), most=MOST)
    except Unanswered as error:
        raise Silent(SILENT) from error
    said = understood(answer)
    if not isinstance(said, dict) or status != http.client.OK:
        raise Silent(str(said.get("message", SILENT)) if isinstance(said, dict) else SILENT)
    return said
