"""What the API gives of the queue. Moments are ISO 8601 in UTC."""

from datetime import datetime

from ninja import Schema
from pydantic import Field

from portal.api.pagination import PageOf


class Estimate(Schema):
    """When a lab is expected to start: between these."""

    soonest: datetime
    latest: datetime


class Lever(Schema):
    """A change of a waiting lab that starts it sooner, as things are now."""

    code: str = Field(description="What POST /labs/{id}/lever takes.")
    words: str
    estimate: Estimate | None = Field(description="When it would start then; null for now.")


class Waiting(Schema):
    """A lab's stand in the queue."""

    place: int = Field(description="1 is next; 0 is being placed.")
    reasons: list[str] = Field(description="Every reason why it waits.")
    estimate: Estimate | None = Field(description="Null when nothing is known that would start it.")
    moved: str | None = Field(description="Why an administrator moved it in the queue.")
    levers: list[Lever] | None = Field(description="What would start it sooner; null in lists, where nobody asked.")


class QueueEntry(Schema):
    """A place in the queue. Other people's labs have a place, GPUs and an estimate, and no more."""

    place: int = Field(description="1 is next; 0 is being placed.")
    lab: str | None
    name: str | None
    owner: str | None
    gpus: int
    requested_at: datetime
    waiting_since: datetime = Field(description="Since when its wait counts: with what it waited before its cards were taken back.")
    estimate: Estimate | None
    reasons: list[str]
    moved: bool = Field(description="An administrator put it there.")


class EstimatesScore(Schema):
    """How the estimates of the last seven days did."""

    right: int
    of: int


class Queue(PageOf):
    """The queue in its order."""

    waiting: int = Field(description="How many labs wait.")
    items: list[QueueEntry]
    estimates: EstimatesScore
    card_free_at: datetime | None = Field(description="When the next GPU comes free by its lab's limit; null when none is held.")
