"""What the API says of its caller: limits, what is held, groups, and requests for more."""

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import Field

from labs.policy.asking import MOST
from portal.api.pagination import PageOf
from portal.api.schemas import TEXT, Strict


class Wider(Schema):
    """A limit that the time of day or a quiet house widens now."""

    limit: str
    usual: int
    value: int
    until: datetime | None = Field(description="Null as long as the house is quiet, or for good.")
    words: str


class Later(Schema):
    """A limit that will be wider."""

    limit: str
    value: int
    words: str


class Limits(Schema):
    """What a person may have; null is no limit."""

    gpus: int = Field(description="GPUs at once that are guaranteed.")
    gpus_max: int = Field(description="GPUs at once that nothing passes.")
    labs: int
    pending: int
    cpus: int
    memory_gib: int
    shm_gib: int
    pids: int
    hours_max: int
    gpu_hours_week: int | None = Field(description="GPU-hours in any seven days.")
    gpu_hours_month: int | None = Field(description="GPU-hours in any thirty days.")
    disk_gib: int
    wider: list[Wider] = Field(description="Limits that are wider now than usual.")
    later: list[Later] = Field(description="Limits that are wider at other times of the week, or in a quieter house.")


class Amounts(Schema):
    """What a person holds, or what is left of the limits; null is no limit."""

    gpus: float
    labs: int
    pending: int
    cpus: int
    memory_gib: float
    gpu_hours_week: float | None
    gpu_hours_month: float | None
    disk_gib: float | None = Field(description="Workspaces, when they were measured last.")


class GroupCaps(Schema):
    """What a whole group may hold together; null is no cap. shm and hours are of each lab of its members."""

    gpus: int | None
    labs: int | None
    pending: int | None
    cpus: int | None
    memory_gib: int | None
    shm_gib: int | None
    hours_max: int | None
    gpu_hours_week: int | None
    gpu_hours_month: int | None
    disk_gib: int | None


class GroupShare(Schema):
    """A capped group of the caller's."""

    name: str
    caps: GroupCaps
    held: Amounts = Field(description="What all its members hold together.")


class More(Strict):
    """Limits and what they should be; null leaves one as it is. The `more` of a refusal fits here."""

    gpus_max: int | None = Field(None, ge=0, le=MOST)
    labs: int | None = Field(None, ge=0, le=MOST)
    pending: int | None = Field(None, ge=0, le=MOST)
    cpus: int | None = Field(None, ge=0, le=MOST)
    memory_gib: int | None = Field(None, ge=0, le=MOST)
    shm_gib: int | None = Field(None, ge=0, le=MOST)
    hours_max: int | None = Field(None, ge=0, le=MOST)
    gpu_hours_week: int | None = Field(None, ge=0, le=MOST)
    gpu_hours_month: int | None = Field(None, ge=0, le=MOST)
    disk_gib: int | None = Field(None, ge=0, le=MOST)


class Workspace(Schema):
    """What the caller's workspace takes of a node's disk."""

    node: str
    size: int = Field(description="Bytes.")
    files: int | None = Field(description="Files and folders; null where the node cannot count them.")
    whole: bool = Field(description="False: there is more, and not all of it could be counted in the time.")
    measured_at: datetime


class Asking(Strict):
    """A request for more."""

    asked: More
    until: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="The last day, YYYY-MM-DD; it ends by itself.")
    why: str = Field(min_length=1, max_length=500, pattern=TEXT, description="A sentence for whoever decides.")


class QuotaRequest(Schema):
    """What the caller asked for, and the answer."""

    id: int
    asked: dict[str, int]
    until: datetime
    why: str
    state: Literal["open", "granted", "declined", "withdrawn"]
    created_at: datetime
    answered_at: datetime | None
    answer: str


class QuotaRequestList(PageOf):
    """A page of the caller's requests, newest first."""

    items: list[QuotaRequest]


class Me(Schema):
    """Whose token it is, and what is allowed, held and left."""

    id: int
    email: str
    display_name: str
    role: str
    scope: Literal["read", "launch", "admin"]
    limits: Limits
    held: Amounts
    left: Amounts
    workspaces: list[Workspace] = Field(description="Your files, node by node.")
    groups: list[GroupShare] = Field(description="Groups of yours whose members together are capped.")
