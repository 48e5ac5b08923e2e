"""Wanted x observed -> steps. Pure, so that every fault can be tried without an engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.runtimes.base import Observed

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A placed lab of this node as the record has it."""

    lab_id: str
    attempt: int
    state: str
    stop: bool  # its target is stopped, or its owner was disabled
    restart: bool  # cards for its next attempt are leased
    ends_at: datetime | None
    deadline_at: datetime | None
    try_at: datetime | None
    owner_active: bool

    @property
    def name(self) -> str:
        """The container's name."""
        return f"gpulab-{self.lab_id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `start` or `stop` a container, `end` a lab for a code, call a lab `gone`, `remove` a leftover."""

    do: str
    lab_id: str
    name: str = ""
    code: str = ""
    detail: str = ""


def steps(wanted: Sequence[Wanted], observed: Iterable[Observed], known: set[str], now: datetime) -> list[Step]:
    """What to do so that the node is as it should be. `known` are ids of all labs on record, ended ones too.

    A container of a lab that no record knows is left alone and reported: it may belong to a newer database.
    """
    seen = {one.name: one for one in observed}
    made = [step for lab in wanted for step in _steps_of(lab, seen.get(lab.name), now)]
    mine = {lab.name for lab in wanted}
    others = (one for one in seen.values() if one.name not in mine)
    return made + [Step("remove" if one.lab_id in known else "stray", one.lab_id, one.name) for one in others]


def _steps_of(lab: Wanted, one: Observed | None, now: datetime) -> list[Step]:
    if lab.state == STOPPING:
        return [Step("stop", lab.lab_id, lab.name)] if one else [Step("restart" if lab.restart and not lab.stop else "gone", lab.lab_id, lab.name)]
    code = _ending(lab, now)
    if code:
        return [Step("end", lab.lab_id, lab.name, code)]
    if lab.state == STARTING:
        return _starting(lab, one, now)
    return _running(lab, one)


def _ending(lab: Wanted, now: datetime) -> str:
    if not lab.owner_active:
        return "person_disabled"
    if lab.state == RUNNING and lab.ends_at is not None and lab.ends_at <= now:
        return "time_up"
    if lab.state == STARTING and lab.deadline_at is not None and lab.deadline_at <= now:
        return "never_ready"
    return ""


def _starting(lab: Wanted, one: Observed | None, now: datetime) -> list[Step]:
    if one is not None and not one.running and not one.fresh:
        return [_ended(lab, one)]
    if lab.try_at is not None and lab.try_at > now:
        return []
    return [Step("start", lab.lab_id, lab.name)]


def _running(lab: Wanted, one: Observed | None) -> list[Step]:
    if one is None:
        return [Step("end", lab.lab_id, lab.name, "removed")]
    return [] if one.running else [_ended(lab, one)]


def _ended(lab: Wanted, one: Observed) -> Step:
    if one.oom_killed:
        return Step("end", lab.lab_id, lab.name, "out_of_memory")
    detail = f"Exit code {one.exit_code}." if one.exit_code is not None else ""
    return Step("end", lab.lab_id, lab.name, "exited", f"{detail} {one.detail}".strip())
