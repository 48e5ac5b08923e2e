"""Jobs that start by themselves, and the address at which another program starts one."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.errors import AuthenticationError
from ninja.responses import Status
from ninja.security import HttpBearer
from pydantic import Field

from labs.jobs.models import Trigger
from labs.jobs.queries import trigger_by_secret, trigger_for_owner, triggers_of
from labs.jobs.rules import LONGEST_CRON
from labs.jobs.services import trigger_create, trigger_fire, trigger_pause, trigger_remove, weekly
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from portal.api import schemas
from portal.api.auth import caller, may_launch
from portal.api.labs import lab_shown
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.rates import rate_spend

router = Router(tags=["jobs"])


class TriggerWish(schemas.Strict):
    """A job to keep, and what starts it."""

    name: str = Field(min_length=1, max_length=32, json_schema_extra={"pattern": "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"})
    kind: Literal["schedule", "call", "file"]
    job: schemas.RunWish
    cron: str = Field(
        "", max_length=LONGEST_CRON, description="Of a schedule: five fields as in crontab, in the house's time zone. Not oftener than in 15 minutes."
    )
    weekdays: list[Annotated[int, Field(ge=0, le=6)]] = Field([], max_length=7, description="Of a schedule, instead of `cron`; Monday is 0.")
    at: str = Field("", max_length=5, description="Of a schedule, with `weekdays`: 07:30, in the house's time zone.")
    watch: str = Field("", max_length=200, description="Of a file: the folder below the workspace in which it arrives. `{file}` in the command is its path.")


class TriggerView(Schema):
    """A kept job."""

    id: int
    name: str
    kind: Literal["schedule", "call", "file"]
    when: str = Field(alias="when_words")
    cron: str = Field(description="Of a schedule; empty for others.")
    paused: bool
    next_at: datetime | None
    next_runs: list[datetime] = Field(description="Of a schedule that is not paused: the next three.")
    last_at: datetime | None
    last_lab: str | None = Field(alias="last_lab_id")
    last_words: str = Field(description="Why the last run was refused; empty when it was not.")


class TriggerMade(TriggerView):
    """A new one; the secret with which it is called is shown this once, and empty for a schedule."""

    secret: str


class TriggerPage(PageOf):
    """A page of kept jobs."""

    items: list[TriggerView]


class Pause(schemas.Strict):
    """Whether it starts."""

    paused: bool


class CallSecret(HttpBearer):
    """The secret of one kept job, which opens nothing else."""

    def authenticate(self, request: HttpRequest, token: str) -> Trigger | None:
        """The job; None for a secret that opens none, which is counted by its address."""
        found = trigger_by_secret(secret=token)
        if found:
            rate_spend(request=request, key=f"job:{found.pk}")
        return found


@router.get("/jobs", response=TriggerPage, summary="List jobs that start by themselves")
def trigger_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Your own, by name."""
    return page(request, triggers_of(user=caller(request)), order=("name", "id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.post("/jobs", response={201: TriggerMade}, summary="Let a job start by itself")
def trigger_make(request: HttpRequest, wish: TriggerWish) -> Status[Any]:
    """By a schedule, for each file that arrives in a folder, or whenever another program calls with its secret."""
    may_launch(request)
    job = Wish(image_id=wish.job.image, command=tuple(wish.job.command), **wish.job.model_dump(exclude={"image", "command"}))
    start = {"kind": wish.kind, "cron": _cron(wish), "watch": wish.watch}
    made, secret = trigger_create(owner=caller(request), name=wish.name, wish=job, now=timezone.now(), **start)
    names = ("id", "name", "kind", "when_words", "cron", "paused", "next_at", "next_runs", "last_at", "last_lab_id", "last_words")
    return Status(201, {name: getattr(made, name) for name in names} | {"secret": secret})


@router.get("/jobs/{int:trigger_id}", response=TriggerView, summary="Look at a kept job")
def trigger_look(request: HttpRequest, trigger_id: schemas.Number) -> Any:
    """404 for one that is not yours."""
    return trigger_for_owner(user=caller(request), trigger_id=trigger_id)


@router.post("/jobs/{int:trigger_id}/pause", response=TriggerView, summary="Pause a kept job, or go on")
def trigger_stop(request: HttpRequest, trigger_id: schemas.Number, wish: Pause) -> Any:
    """What was missed meanwhile is not made up for."""
    may_launch(request)
    trigger_pause(trigger=trigger_for_owner(user=caller(request), trigger_id=trigger_id), paused=wish.paused, now=timezone.now())
    return trigger_for_owner(user=caller(request), trigger_id=trigger_id)


@router.post("/jobs/{int:trigger_id}/run", response={201: schemas.Lab}, summary="Run a kept job now")
def trigger_run(request: HttpRequest, trigger_id: schemas.Number) -> Status[Any]:
    """409 with the reason when it cannot be now."""
    may_launch(request)
    return _fired(trigger_for_owner(user=caller(request), trigger_id=trigger_id))


@router.delete("/jobs/{int:trigger_id}", response={204: None}, summary="Remove a kept job")
def trigger_forget(request: HttpRequest, trigger_id: schemas.Number) -> Status[None]:
    """Its runs stay."""
    may_launch(request)
    trigger_remove(trigger=trigger_for_owner(user=caller(request), trigger_id=trigger_id), now=timezone.now())
    return Status(204, None)


@router.post("/jobs/call", auth=CallSecret(), response={201: schemas.Lab}, summary="Start a kept job from outside")
def trigger_call(request: HttpRequest) -> Status[Any]:
    """For another program: `Authorization: Bearer gpj_…`, the secret of one kept job, which can do nothing else. Under one `Idempotency-Key` it runs once."""
    found = request.auth  # type: ignore[attr-defined]
    if not isinstance(found, Trigger):
        raise AuthenticationError
    return _fired(found)


def _cron(wish: TriggerWish) -> str:
    if not (wish.weekdays or wish.at):
        return wish.cron
    if wish.cron:
        raise Refused("Give cron, or weekdays and at.", field="cron")
    return weekly(weekdays=wish.weekdays, at=wish.at)


def _fired(trigger: Trigger) -> Status[Any]:
    now = timezone.now()
    lab = trigger_fire(trigger=trigger, key=f"{now:%Y%m%d%H%M%S%f}", now=now)
    if lab is None:
        trigger.refresh_from_db()
        raise Refused(trigger.last_words, code="state")
    return Status(201, lab_shown(lab))
