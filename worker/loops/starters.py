"""Templates: what the house ships is told to the record, and their files are put into labs of this node, each once."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings

from labs.lifecycle.tokens import upstream_token
from labs.starters.models import Start
from labs.starters.queries import bundle_of, starts_wanted
from labs.starters.rules import Needs
from labs.starters.services import Draft, Shipped, start_failed, start_ready, templates_ship
from worker.hands import Hands
from worker.jupyter import Jupyter, JupyterFault
from worker.loops import parcels
from worker.shipped import Folder, archive, shipped, unpacked

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="starters")
ROOT = settings.BASE_DIR / "starters"
#: The lab's own program gives up a little sooner.
FETCH_WITHIN_S, COPY_WITHIN_S = 960.0, 60.0
UPDATED = "GPU Lab was updated since this lab was asked for. Start the template once more to get its files."
UNHEARD = "The lab said nothing of it. Its terminal may be kept busy by your own shell settings (~/.profile, ~/.bashrc)."
WORDS = {
    "in the way": "In the workspace, {words} is no folder, so the template's files have no place. Rename it, and start the template once more.",
    "no git": "This image has no git, which the template's files come by. Start it with another image.",
    "git": "The template's repository could not be fetched: {words}.",
    "disk": "The template's files could not be written: {words}.",
}


def ship(*, now: datetime) -> None:
    """Tell the record what templates lie in the house's own folder."""
    templates_ship(found=[_shipped(one) for one in shipped(ROOT)], now=now)


def _shipped(folder: Folder) -> Shipped:
    told = folder.told()
    sizes = told["needs"]
    needs = Needs(sizes["gpus"], sizes.get("least_gpus", 0), sizes["cpus"], sizes["memory_gib"], sizes["hours"], sizes.get("shm_gib"))
    draft = Draft(needs=needs, first=told["first"], digest=folder.digest(), cuda=told.get("cuda", ""), data=tuple(told.get("data", ())))
    return Shipped(folder.slug, told["title"], told["summary"], told["minutes"], draft)


def tick(*, hands: Hands) -> None:
    """One look at every running lab of the node that waits for its files, and at every folder that is to become a template."""
    parcels.tick(hands=hands)
    for start in starts_wanted(node_id=hands.node_id):
        hands.once(pool, f"starter:{start.pk}", lambda start=start: place(start=start, hands=hands))  # type: ignore[misc]


def place(*, start: Start, hands: Hands) -> None:
    """Put a template's files into its lab, or say in words why not. Done twice, it is done once."""
    content = _content(start)
    if content is None:
        said: dict[str, Any] = {"words": UPDATED}
    else:
        said = _said(start, content, FETCH_WITHIN_S if start.version.url else COPY_WITHIN_S)
    now = hands.clock()
    if "kept" not in said:
        words = _words(said)
        if start_failed(start=start, words=words, now=now):
            log.warning("the files of %s: %s", start, words)
        return
    version = start.version
    opens = f"{version.folder}/{version.first}" if said.get("first") else ""
    told = said.get("missing")
    missing = [one for one in version.data if one in told] if isinstance(told, list) else []
    start_ready(start=start, opens=opens, kept=bool(said["kept"]), missing=missing, now=now)


def _words(said: dict[str, Any]) -> str:
    """What went wrong, from what the lab's program says: it is its owner's, so only words of ours are filled in with it."""
    if said.get("words") in (UPDATED, UNHEARD):
        return str(said["words"])
    ours = WORDS.get(str(said.get("error")))
    return ours.format(words=str(said.get("words", ""))[:200]) if ours else UNHEARD


def _content(start: Start) -> bytes | None:
    """What is carried into the lab; None when the version's files are no longer here."""
    version = start.version
    if version.url:
        return archive(folder=version.folder, first=version.first, data=version.data, url=version.url, commit=version.commit)
    held = bundle_of(version=version)
    if held is not None:
        return archive(folder=version.folder, first=version.first, data=version.data, files=unpacked(held))
    folder = Folder(ROOT / version.template.slug)
    if not folder.root.is_dir() or folder.digest() != version.digest:
        return None
    return archive(folder=version.folder, first=version.first, data=version.data, files=folder.files())


def _said(start: Start, content: bytes, within: float) -> dict[str, Any]:
    """What the program says that runs in one of the lab's terminals, as the lab's user."""
    lab, name = start.lab, f"template{start.pk}"  # Jupyter's terminals take letters and digits only
    jupyter = Jupyter((lab.jupyter_host, lab.jupyter_port or 0), lab.base_url, upstream_token(lab_id=lab.pk, attempt=lab.attempt))
    try:
        jupyter.file_put(f"gpulab-{name}.pyz", content)
        jupyter.terminal_open(name)
        return jupyter.said(name, f" exec python3 -I ~/gpulab-{name}.pyz\r", within=within)
    except JupyterFault as fault:
        log.warning("%s: %s", start, fault)
        return {"words": UNHEARD}
    finally:
        with suppress(JupyterFault):
            jupyter.terminal_end(name)
