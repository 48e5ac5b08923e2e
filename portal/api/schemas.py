"""What the API takes and gives. Sizes are whole GiB; moments are ISO 8601 in UTC."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Path, Schema
from pydantic import ConfigDict, Field

from labs.datasets.rules import MOST_WANTED
from labs.lifecycle.jobs import MOST_ARGUMENTS, MOST_FOLDER
from labs.lifecycle.wishes import MOST
from portal.api.pagination import PageOf
from portal.api.schemas_queue import Waiting

#: The largest whole number that every JSON reader keeps exact.
EXACT = 2**53 - 1
#: The id of a record, in a path.
Number = Annotated[int, Path(ge=1, le=EXACT)]
#: Words of people's, in lines: everything but the one character that no database keeps.
TEXT = r"^[^\x00]*$"
State = Literal["queued", "offered", "starting", "running", "stopping", "stopped", "failed"]


class Strict(Schema):
    """A body that is taken literally: "1" is no number, true is no number, and unknown fields are mistakes."""

    model_config = ConfigDict(strict=True, extra="forbid")


class RunWish(Strict):
    """What runs: in a lab, or each time that a kept job is started."""

    image: int = Field(ge=1, le=EXACT, description="The `id` of an image.")
    gpus: int = Field(0, ge=0, le=MOST, description="Whole GPUs; 0 is a lab without.")
    gpu_model: str = Field("", max_length=96, pattern=r"^[ -~]*$", description="A model, as /gpus names it; empty for any.")
    cpus: int = Field(2, ge=1, le=MOST)
    memory_gib: int = Field(8, ge=1, le=MOST)
    shm_gib: int | None = Field(None, ge=1, le=MOST, description="Shared memory, counted inside the memory; null for half of it.")
    hours: int = Field(4, ge=1, le=MOST)
    wants_slice: str = Field("", max_length=40, pattern=r"^[ -~]*$", description='One MIG slice instead of whole GPUs: its profile, or "any".')
    requeue: bool = Field(True, description="Queue it again when its GPUs were taken back.")
    may_borrow: bool = Field(True, description="May take free GPUs beyond your guarantee, which can be taken back with 5 minutes' notice.")
    ask_first: bool = Field(False, description="When its turn comes, hold what it needs for 10 minutes and ask, instead of starting it.")
    command: list[str] = Field(
        default=[],
        max_length=MOST_ARGUMENTS,
        description="Makes it a job: a program and its arguments, which no shell reads. It runs instead of Jupyter, and the lab ends with it.",
    )
    folder: str = Field("", max_length=MOST_FOLDER, description="Where a job begins, below the workspace; empty for the workspace itself.")
    name: str = Field(
        "",
        description="1 to 32 small letters, digits and hyphens, beginning with a letter; empty for a name of ours.",
        json_schema_extra={"maxLength": 32, "pattern": "^([a-z]([a-z0-9-]{0,30}[a-z0-9])?)?$"},
    )


class LabWish(RunWish):
    """A lab to launch."""

    template: str = Field("", max_length=40, pattern=r"^[a-z0-9-]*$", description="Begin with this template's files: the `slug` of one of /templates.")
    datasets: list[str] | None = Field(
        default=None,
        max_length=MOST_WANTED,
        description="Data sets that must be where it runs, as `name` or `name@version` of /datasets; null for the template's own.",
    )


class LeverPull(Strict):
    """A change that starts a waiting lab sooner."""

    code: str = Field(max_length=120, description="The `code` of one of the lab's levers.")


class LabLog(Schema):
    """The last lines of a lab's log."""

    text: str
    live: bool = Field(description="More may come: ask again in a moment.")


class TakeGpu(Strict):
    """What a running lab should have from its next attempt on."""

    gpus: int = Field(ge=1, le=MOST)
    gpu_model: str = Field("", max_length=96, pattern=r"^[ -~]*$")


class Requeue(Strict):
    """What becomes of a lab whose GPUs are taken back."""

    requeue: bool


class AskFirst(Strict):
    """Whether its owner is asked when its turn comes."""

    ask_first: bool


class QueueMove(Strict):
    """Where an administrator puts a waiting lab."""

    to: Literal["first", "last", "own"] = Field(description='"own" undoes an earlier move.')
    reason: str = Field("", max_length=200, pattern=TEXT, description="Read by its owner and kept in the audit log; may be empty only for own.")


class Extension(Strict):
    """How long a running lab may go on."""

    hours: int = Field(ge=1, le=MOST, description="Hours from now.")


class Keeping(Strict):
    """How long a lab is kept though nobody uses it."""

    hours: int = Field(ge=1, le=MOST, description="Hours from now; the house allows some.")


class IdleClock(Schema):
    """The clock of a running lab that nobody uses."""

    used_at: datetime = Field(description="When it was last used.")
    stops_at: datetime | None = Field(description="When it is stopped if nobody uses it.")
    warned: bool = Field(description="Its owner was warned.")
    kept_until: datetime | None = Field(description="Until when its owner keeps it, used or not.")
    keeps_left: int = Field(description="How often its owner may keep it still.")


class LabImage(Schema):
    """The image of a lab."""

    id: int
    slug: str
    title: str


class LabLimits(Schema):
    """What the lab may use."""

    gpus: int
    gpu_model: str
    cpus: int
    memory_gib: float
    shm_gib: float
    pids: int
    hours: int


class LabGpu(Schema):
    """A card that the lab holds."""

    uuid: str
    index: int
    model: str


class LabUrls(Schema):
    """Where the lab is found."""

    page: str = Field(description="Its page in the portal, from which a browser opens it.")
    jupyter: str = Field(description="Jupyter's address for programs, with a token of the lab: `Authorization: token gpl_…`.")
    ssh: str = Field(description="The command that opens a shell in it.")


class Efficiency(Schema):
    """What a lab made of what it held."""

    line: str = Field(description='Such as "GPU 4% busy, 2 of 80 GiB".')
    advice: str = Field(description="What would do better next time; empty where nothing would.")
    code: str = Field(
        description="A word for a program: fine, no_gpu, fewer_gpus, slice, idle, more_cpus, larger_batches, less_memory, more_memory or more_shm."
    )


class Lab(Schema):
    """A lab."""

    id: str
    name: str
    owner: str = Field(description="The e-mail address of its owner.")
    state: State
    reason: str = Field(description="Why it waits, while queued; why it ended, afterwards; else empty.")
    place: int | None = Field(description="Its place in the queue, while it waits; 1 is next.")
    reasons: list[str] = Field(description="Every reason why it waits.")
    waiting: Waiting | None = Field(description="Its stand in the queue, while it waits to start or, running, for other GPUs.")
    ask_first: bool = Field(description="Its owner is asked when its turn comes.")
    claim_until: datetime | None = Field(description="While it is offered: until when what it needs is held for it.")
    may_borrow: bool = Field(description="It may take free GPUs beyond its owner's guarantee.")
    over_quota: bool = Field(description="It runs beyond its owner's guarantee: it may be taken back with 5 minutes' notice.")
    reclaim_at: datetime | None = Field(description="Its GPUs are taken back: when it is stopped for that; else null.")
    requeue: bool = Field(description="It is queued again when its GPUs were taken back.")
    stage: str = Field(description="How far the start is.")
    degraded: str = Field(description="Why it cannot open its GPU any more, while it runs on; a restart brings it back. Else empty.")
    idle: IdleClock | None = Field(description="Its idle clock, while it runs and the house has one for it; null in lists.")
    image: LabImage
    limits: LabLimits
    gpus: list[LabGpu]
    urls: LabUrls
    command: list[str] = Field(description="Of a job; empty for a lab that is worked in.")
    folder: str
    output: str = Field(description="The folder below the workspace in which a job's log and results are kept; empty for a lab that is none.")
    datasets: list[str] = Field(description="Data sets that must be where it runs.")
    exit_code: int | None = Field(description="How a job's program ended; null before, and when the lab ended otherwise.")
    end: str = Field(description="Why it ended, as a word for programs; empty while it lives.")
    attempt: int
    node: str | None
    requested_at: datetime
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    efficiency: Efficiency | None = Field(description="What an ended lab made of what it held, once it ran for five minutes; null in lists.")


class LabPage(PageOf):
    """A page of labs, newest first."""

    items: list[Lab]


class GpuReading(Schema):
    """What a card did a moment ago; null where it does not tell."""

    gpu_pct: float | None
    memory_used_mib: int | None
    temperature_c: float | None
    power_w: float | None


class Gpu(Schema):
    """A card of the fleet."""

    uuid: str
    index: int
    node: str
    model: str
    memory_mib: int
    compute_capability: str
    health: Literal["ok", "unknown", "held", "drained", "retired"]
    simulated: bool = Field(description="True where no NVIDIA driver stands behind it.")
    state: Literal["free", "in use", "unavailable"]
    holder: str | None = Field(description='"you", "in use" for somebody else, a name for administrators, null when free.')
    lab: str | None = Field(description="The lab that holds it, if it is yours.")
    reading: GpuReading | None = Field(description="What it does now; null while nothing is known.")


class GpuPage(PageOf):
    """A page of cards, by node and index."""

    items: list[Gpu]
