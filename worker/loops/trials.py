"""Images tried on cards: the program of images/qualify.py in a lab of the house's, and what it found."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings

from labs.catalogue.models import Qualification
from labs.catalogue.trials import qualification_end, qualification_on, qualification_void
from labs.lifecycle import states
from labs.lifecycle.diagnosis import end_told_by
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_end
from labs.trials.queries import trials_due
from worker.hands import Hands
from worker.runtimes.base import RuntimeFault

log = logging.getLogger(__name__)
pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trials")
PROGRAM = settings.BASE_DIR / "images" / "qualify.py"
WITHIN_S = 900


def house_tick(*, now: datetime) -> None:
    """Name the node that has each to do; what has lost its lab came to no end."""
    for row, lab in trials_due():
        if lab is None or lab.state in states.FINAL:
            qualification_void(row=row, words=f"Its lab ended. {lab.end.words}" if lab and lab.end else "Its lab is gone.", now=now)
        elif lab.node_id:
            qualification_on(row=row, node=lab.node_id)


def tick(*, hands: Hands, now: datetime) -> None:
    """Begin those of this node whose labs run."""
    for row, lab in trials_due():
        if lab and row.node == lab.node_id == hands.node_id and lab.state == states.RUNNING:
            _begin(hands, row, lab)


def _begin(hands: Hands, row: Qualification, lab: Lab) -> None:
    hands.once(pool, f"trial:{row.pk}", lambda: trial(hands=hands, row=row, lab=lab))


def trial(*, hands: Hands, row: Qualification, lab: Lab) -> None:
    """Run it, write down what was found, and end the lab: with its reason where the log tells one."""
    arguments = ["--expect", "cpu" if row.card == Qualification.CPU else "cuda"]
    try:
        _, said = hands.runtime.run_inside(f"gpulab-{lab.pk}-{lab.attempt}", PROGRAM.read_text(), arguments, WITHIN_S)
    except RuntimeFault as fault:
        qualification_void(row=row, words=fault.words, now=hands.clock())
        lab_end(lab_id=lab.pk, code="tried", now=hands.clock(), detail=fault.words)
        return
    report = report_of(said)
    driver = lab.node.driver if lab.node and row.card != Qualification.CPU else ""
    passed = bool(report.get("passed"))
    qualification_end(row=row, passed=passed, words=words_of(report), report=report, driver=driver, now=hands.clock())
    code = "" if passed else end_told_by(said)
    lab_end(lab_id=lab.pk, code=code or "tried", now=hands.clock(), detail=words_of(report) if code else "", log_tail=said[-4000:] if code else "")


def report_of(said: str) -> dict[str, Any]:
    """The program's own line, whatever libraries say after it when they end; a report of ours where it did not come so far."""
    for line in reversed(said.splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "checks" in found:
                return found
    return {"passed": False, "checks": {"program": {"passed": False, "words": f"The program did not come to its end: {said.strip()[-300:]}"}}}


def words_of(report: dict[str, Any]) -> str:
    """What failed, in the checks' own words; else what is worth knowing at a glance."""
    checks: dict[str, dict[str, Any]] = report.get("checks", {})
    failed = [f"{name}: {one.get('words', '')}" for name, one in checks.items() if not one.get("passed")]
    return "; ".join(failed) or "; ".join(str(checks[name]["words"]) for name in ("matmul", "ResNet-50") if name in checks)
