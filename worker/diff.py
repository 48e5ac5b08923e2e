"""Wanted x observed -> steps. Pure, so that every fault can be tried without an engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.runtimes.base import Observed

Address = tuple[str, int] | None

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"
#: 128 and SIGKILL. Nothing inside a container can send that to its first process.
KILLED = 137


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
    leave_by: datetime | None = None  # its node is drained until then
    since: datetime | None = None  # when it came into its state
    jupyter: Address = None  # where the record says that it is reached
    ssh: Address = None
    job: bool = False  # it ends with its program

    @property
    def name(self) -> str:
        """The container's name."""
        return f"gpulab-{self.lab_id}-{self.attempt}"

    @property
    def over_at(self) -> datetime | None:
        """When it ends by the clock, whatever else happens; None where it runs on."""
        ends = [at for at in (self.ends_at, self.leave_by) if at is not None]
        return min(ends) if self.state == RUNNING and ends else None


@dataclass(frozen=True, slots=True)
class Known:
    """A lab on record, wherever it is: how far it has come."""

    attempt: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `start` or `stop` a container (or `kill` it, its time to stop being over), `end` a lab for a code,

    call a lab `gone`, `restart` it, note its new `address`, `remove` a leftover, put a `stray` into quarantine.
    """

    do: str
    lab_id: str
    name: str = ""
    code: str = ""
    detail: str = ""
    seen: Observed | None = None


def steps(wanted: Sequence[Wanted], observed: Iterable[Observed], known: Mapping[str, Known], now: datetime, booted_at: datetime | None = None) -> list[Step]:
    """What to do so that the node is as it should be. `known` are all labs on record that a container bears the id of.

    What the record has left behind is removed: containers of ended labs, and of attempts before the present one. What it
    has not come to yet is a stray: an older backup may have been restored under running labs.
    """
    seen = {one.name: one for one in observed}
    made = [step for lab in wanted for step in _steps_of(lab, seen.get(lab.name), now, booted_at)]
    mine = {lab.name for lab in wanted}
    return made + [_other(one, known.get(one.lab_id)) for one in seen.values() if one.name not in mine]


def _other(one: Observed, record: Known | None) -> Step:
    leftover = record is not None and (record.ended or one.attempt < record.attempt)
    return Step("remove" if leftover else "stray", one.lab_id, one.name, seen=one)


def _steps_of(lab: Wanted, one: Observed | None, now: datetime, booted_at: datetime | None) -> list[Step]:
    if lab.state == STOPPING:
        return [_stopping(lab, one, now)]
    code = _ending(lab, now)
    if code:
        return [Step("end", lab.lab_id, lab.name, code)]
    if _lost_by_reboot(lab, one, booted_at):
        return [Step("end", lab.lab_id, lab.name, "rebooted")]
    if lab.state == STARTING:
        return _starting(lab, one, now)
    return _running(lab, one)


def _lost_by_reboot(lab: Wanted, one: Observed | None, booted_at: datetime | None) -> bool:
    """The host has booted since, and what had been there does not run. One that was never begun is simply begun."""
    if booted_at is None or lab.since is None or lab.since >= booted_at:
        return False
    return (lab.state == RUNNING and one is None) or (one is not None and not one.running)


def _stopping(lab: Wanted, one: Observed | None, now: datetime) -> Step:
    if one is None:
        return Step("restart" if lab.restart and not lab.stop else "gone", lab.lab_id, lab.name)
    overdue = lab.deadline_at is not None and lab.deadline_at <= now
    return Step("kill" if overdue else "stop", lab.lab_id, lab.name)


def _ending(lab: Wanted, now: datetime) -> str:
    if not lab.owner_active:
        return "person_disabled"
    if lab.state == RUNNING and lab.ends_at is not None and lab.ends_at <= now:
        return "time_up"
    if lab.leave_by is not None and lab.leave_by <= now:
        return "drained"
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
    if not one.running:
        return [_ended(lab, one)]
    moved = one.jupyter is not None and (one.jupyter, one.ssh) != (lab.jupyter, lab.ssh)
    return [Step("address", lab.lab_id, lab.name, seen=one)] if moved else []


def _ended(lab: Wanted, one: Observed) -> Step:
    seen = one if lab.job else None
    if one.oom_killed:
        return Step("end", lab.lab_id, lab.name, "out_of_memory", seen=seen)
    if one.exit_code == KILLED and not lab.job:
        return Step("end", lab.lab_id, lab.name, "killed")
    detail = f"Exit code {one.exit_code}." if one.exit_code is not None else ""
    if one.oom_child and one.exit_code:  # one that ended well did without it
        return Step("end", lab.lab_id, lab.name, "child_out_of_memory", detail, seen=seen)
    if lab.job and one.exit_code is not None:
        return Step("end", lab.lab_id, lab.name, "job_failed" if one.exit_code else "job_done", f"{detail} {one.detail}".strip(), seen=seen)
    return Step("end", lab.lab_id, lab.name, "exited", f"{detail} {one.detail}".strip())
