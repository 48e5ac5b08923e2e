"""Images made of labs, of lists of packages and of Dockerfiles: one at a time on a node, cancelled by the record, begun again after a crash."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError

from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.making.models import Making
from labs.making.queries import makings_due, makings_open
from labs.making.services import making_begin, making_catalogue, making_failed, making_made, making_place, making_told
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault
from worker.runtimes.makes import Saved, Saving

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="making")
TELL_EVERY_S = 0.5
PACK = settings.BASE_DIR / "images" / "pack.py"
BUILD = settings.BASE_DIR / "images" / "build.py"
#: What images/build.py ends with, in words.
ENDS = {4: "The packages are larger than your images may be together.", 5: "The time was up before all packages were installed."}


BROKE = "Something in GPU Lab itself went wrong while it was made. Try again; if it happens again, tell an administrator: the worker's log says what it was."


class Cancelled(Exception):
    """Nobody wants it any more."""


def house_tick(*, now: datetime) -> None:
    """Find each its node, and put what was made into the catalogue."""
    for making in makings_open():
        if making.state == Making.State.MADE:
            making_catalogue(making=making, now=now)
        elif making.state == Making.State.ASKED and making.kind != Making.Kind.DOCKERFILE:
            making_place(making=making, now=now)


def tick(*, hands: Hands) -> None:
    """Begin what is first of this node's; a build waits for its lab and holds up nobody meanwhile."""
    for making in makings_due(node_id=hands.node_id):
        if making.kind == Making.Kind.BUILT and (making.lab is None or making.lab.state != states.RUNNING) and making.state == Making.State.ASKED:
            continue
        hands.once(pool, "making", lambda first=making: make(hands=hands, making=first))  # type: ignore[misc]
        return


def make(*, hands: Hands, making: Making) -> None:
    """All of one: its end is written down whatever comes, and the lab of a build ends with it."""
    if not making_begin(making=making, now=hands.clock()):
        return
    teller = Teller(making)
    try:
        saved = _made(hands, making, teller)
    except Cancelled:
        log.info("image %s was cancelled", making.pk)
    except RuntimeFault as fault:
        log.warning("image %s: %s (%s)", making.pk, fault.words, fault.detail)
        making_failed(making=making, words=fault.words, now=hands.clock())
    except DatabaseError:  # the record is away: begun again when it answers
        raise
    except Exception:
        log.exception("image %s could not be made", making.pk)
        making_failed(making=making, words=BROKE, now=hands.clock())
    else:
        teller.last()
        making_made(
            making=making,
            repository=saved.repository,
            tag=saved.tag,
            digest=saved.digest,
            pulled=saved.pulled,
            sizes=(saved.size_before, saved.size_after),
            words=saved.words,
            now=hands.clock(),
        )
    if making.kind == Making.Kind.BUILT and making.lab_id:
        lab_end(lab_id=making.lab_id, code="made", now=hands.clock())


def _made(hands: Hands, making: Making, teller: "Teller") -> Saved:
    if making.kind == Making.Kind.DOCKERFILE:
        teller.percent, teller.words = 10, "The engine builds it"
        return hands.runtime.image_build(making.pk, making.text, teller.hear)
    lab = Lab.objects.select_related("image").filter(pk=making.lab_id, attempt=making.attempt, state=states.RUNNING).first()
    if lab is None or making.base is None:
        raise RuntimeFault("Its lab has ended meanwhile.", transient=False)
    folder = hands.runtime.overlay_folder(making.base.digest)
    if making.kind == Making.Kind.BUILT:
        folder = f"/workspace/.gpulab/making/{making.pk}"
        _install(hands, making, teller, folder)
    return _save(hands, making, teller, folder)


def _install(hands: Hands, making: Making, teller: "Teller", folder: str) -> None:
    teller.percent, teller.words = 5, "Installing the packages"
    arguments = [folder, str(making.most_bytes), str(settings.IMAGE_BUILD_MIN * 60), making.text]
    code = hands.runtime.run_heard(making.container, BUILD.read_text(), arguments, teller.hear)
    teller.last()
    if code:
        raise RuntimeFault(ENDS.get(code) or f"The packages could not be installed. {_reason(teller.said)}", transient=False)


def _reason(said: str) -> str:
    """What pip names as the error; the end of what it said where it names none."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("ERROR: ")[2] for line in lines if line.startswith("ERROR: ")]
    return " ".join(errors[-2:] or lines[-1:])[:600]


def _save(hands: Hands, making: Making, teller: "Teller", folder: str) -> Saved:
    base = making.base
    assert base is not None  # noqa: S101  (its caller looked)
    start = 60 if making.kind == Making.Kind.BUILT else 0
    labels = {"gpulab.parent": base.digest}
    saving = Saving(making.pk, base.reference, making.container, PACK.read_text(), folder, making.most_bytes, settings.IMAGE_REGISTRY, labels)
    return hands.runtime.image_save(saving, lambda percent, words: teller.tell(start + percent * (100 - start) // 100, words))


class Teller:
    """Writes down how far one is, at most twice a second; a wish that is gone ends the work."""

    def __init__(self, making: Making) -> None:
        self.making = making
        self.percent, self.words, self.said = 0, "Beginning", ""
        self._untold = ""
        self._told_at = 0.0

    def hear(self, text: str) -> None:
        """More of the log."""
        self.said = (self.said + text)[-8000:]
        self._untold += text
        self._tell()

    def tell(self, percent: int, words: str) -> None:
        """How far it is."""
        self.percent, self.words = percent, words
        self._tell()

    def last(self) -> None:
        """What has not been told yet."""
        self._told_at = 0.0
        self._tell()

    def _tell(self) -> None:
        if time.monotonic() - self._told_at < TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        untold, self._untold = self._untold, ""
        if not making_told(making=self.making, percent=self.percent, words=self.words, log=untold):
            raise Cancelled
