"""Webhooks: addresses of the caller's that are told when something happens to labs, signed after Standard Webhooks."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.people.errors import Refused
from labs.webhooks.models import Call
from labs.webhooks.queries import calls_of, hook_for_owner, hooks_of
from labs.webhooks.rules import EVENTS
from labs.webhooks.services import hook_change, hook_create, hook_remove, hook_test
from portal.api.auth import caller, is_admin, may_launch
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.schemas import Number, Strict

router = Router(tags=["webhooks"])
EventName = Literal[tuple(EVENTS)]  # type: ignore[valid-type]  # one list of names for rules, page and document
ADDRESS = Field(min_length=8, max_length=500, pattern=r"^[!-~]*$", description="https, to a public host.")


class HookWish(Strict):
    """A webhook to make."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*$")
    url: str = ADDRESS
    events: list[EventName] = Field(min_length=1, max_length=len(EVENTS))
    everyone: bool = Field(False, description="Everybody's labs; with an administrator's token of scope admin.")


class HookChange(Strict):
    """What to change; what is left out stays."""

    url: str | None = Field(None, min_length=8, max_length=500, pattern=r"^[!-~]*$")
    events: list[EventName] | None = Field(None, min_length=1, max_length=len(EVENTS))
    paused: bool | None = None


class HookView(Schema):
    """A webhook. Its address is kept sealed: only the host is told."""

    id: int
    name: str
    host: str
    events: list[str]
    everyone: bool
    paused: bool
    off_words: str = Field(description="Why the house switched it off; empty when its owner paused it, or nobody did.")
    created_at: datetime


class HookMade(HookView):
    """A new one; the secret with which its calls are signed is shown this once."""

    secret: str


class HookPage(PageOf):
    """A page of webhooks."""

    items: list[HookView]


class CallView(Schema):
    """One call: what it told, and what became of it."""

    id: str = Field(alias="public_id", description="What its receiver reads in the header webhook-id.")
    kind: str
    state: Literal["waiting", "sent", "failed"]
    tries: int
    last_status: int | None = Field(description="What was answered last; null when nothing was.")
    last_words: str
    queued_at: datetime
    next_try_at: datetime | None
    ended_at: datetime | None


class CallPage(PageOf):
    """A page of calls, newest first."""

    items: list[CallView]


@router.get("/webhooks", response=HookPage, summary="List webhooks")
def hook_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Your own, by name."""
    return page(request, hooks_of(user=caller(request)), order=("name", "id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.post("/webhooks", response={201: HookMade}, summary="Make a webhook")
def hook_make(request: HttpRequest, wish: HookWish) -> Status[Any]:
    """422 with the reason when the address may not be called."""
    may_launch(request)
    if wish.everyone and not is_admin(request):
        raise Refused("Everybody's labs are followed with an administrator's token of scope admin.", field="everyone")
    made, secret = hook_create(owner=caller(request), now=timezone.now(), **wish.model_dump())
    return Status(201, {name: getattr(made, name) for name in HookView.model_fields} | {"secret": secret})


@router.get("/webhooks/{int:hook_id}", response=HookView, summary="Look at a webhook")
def hook_look(request: HttpRequest, hook_id: Number) -> Any:
    """404 for one that is not yours."""
    return hook_for_owner(user=caller(request), hook_id=hook_id)


@router.patch("/webhooks/{int:hook_id}", response=HookView, summary="Change a webhook")
def hook_alter(request: HttpRequest, hook_id: Number, change: HookChange) -> Any:
    """`paused: false` lets one go on that was switched off; what happened meanwhile is not told."""
    may_launch(request)
    hook_change(hook=hook_for_owner(user=caller(request), hook_id=hook_id), now=timezone.now(), **change.model_dump())
    return hook_for_owner(user=caller(request), hook_id=hook_id)


@router.delete("/webhooks/{int:hook_id}", response={204: None}, summary="Remove a webhook")
def hook_forget(request: HttpRequest, hook_id: Number) -> Status[None]:
    """It is called no more."""
    may_launch(request)
    hook_remove(hook=hook_for_owner(user=caller(request), hook_id=hook_id), now=timezone.now())
    return Status(204, None)


@router.post("/webhooks/{int:hook_id}/test", response={202: CallView}, summary="Test a webhook")
def hook_try(request: HttpRequest, hook_id: Number) -> Status[Any]:
    """Send a call of the kind `test` now; it is not tried again."""
    may_launch(request)
    return Status(202, _call(hook_test(hook=hook_for_owner(user=caller(request), hook_id=hook_id), now=timezone.now())))


@router.get("/webhooks/{int:hook_id}/calls", response=CallPage, summary="Look at a webhook's calls")
def call_list(request: HttpRequest, hook_id: Number, cursor: Cursor, limit: Limit) -> Any:
    """Of the last 30 days, newest first."""
    hook = hook_for_owner(user=caller(request), hook_id=hook_id)
    return page(request, calls_of(hook=hook), order=("-id",), cursor=cursor, limit=limit, show=_call)


def _call(row: Call) -> dict[str, Any]:
    names = ("public_id", "kind", "state", "tries", "last_status", "last_words", "queued_at", "ended_at")
    return {name: getattr(row, name) for name in names} | {"next_try_at": row.next_try_at if row.state == Call.State.WAITING else None}
