"""Checkpoints and caches of one's workspace: what stays, what was found, having it tidied."""

from datetime import UTC, datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.storage.queries import workspaces_of
from labs.tidying import models
from labs.tidying.queries import chores_of, looks_of, wish_of
from labs.tidying.rules import CACHES, CHECKPOINTS, Keep
from labs.tidying.services import caches_save, chore_ask, keep_save, keep_switch, looks_ask
from portal.api.auth import caller, may_launch
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.schemas import Strict

router = Router(tags=["files"])
Cache = Literal["pip", "huggingface", "torch", "conda"]
NODE = Field(max_length=40, pattern=r"^[A-Za-z0-9_-]+$", description="The id of the machine that holds the files.")


class KeepWish(Strict):
    """Which checkpoints stay. Saving it switches the removal off, until what would go was looked at."""

    folders: list[str] = Field(max_length=10, min_length=1, description="Below the workspace.")
    newest: int = Field(3, ge=1, le=100, description="Of each folder.")
    metric: str = Field(
        "", max_length=40, pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$", description="The number behind this and `=` in a name says which is the best."
    )
    direction: Literal["min", "max"] = Field("min", description="Is the smallest or the greatest the best?")


class CachesWish(Strict):
    """Which caches are emptied when the last lab on a machine has ended."""

    caches: list[Cache] = Field(max_length=4)


class SwitchWish(Strict):
    """Are older checkpoints removed by themselves?"""

    on: bool


class CheckpointsWish(Strict):
    """On which machine older checkpoints go into the trash now."""

    node: str = NODE


class ClearWish(CheckpointsWish):
    """Which caches of a machine are emptied now."""

    caches: list[Cache] = Field(max_length=4, min_length=1)


class Checkpoint(Schema):
    """One checkpoint as the last look found it."""

    path: str
    bytes: int
    changed_at: datetime
    stays: str = Field(description="Why it stays; empty for one that would go.")


class Seen(Schema):
    """What the last look found on one machine."""

    node: str
    looked_at: datetime | None = Field(description="Null before the first look.")
    fresh: bool = Field(description="Was it with the rule that holds now?")
    checkpoints: list[Checkpoint]
    caches: dict[str, int] = Field(description="Bytes of each cache.")


class Tidying(Schema):
    """What one wishes, and what was found."""

    folders: list[str]
    newest: int
    metric: str
    direction: Literal["min", "max"]
    on: bool
    caches: list[Cache]
    places: list[Seen]


class Chore(Schema):
    """One thing done, or being done, in one's workspace on a machine."""

    id: int
    node: str
    kind: Literal["look", "checkpoints", "caches"]
    state: Literal["asked", "done", "failed"]
    words: str = Field(description="Why it was not done.")
    count: int = Field(description="Files and folders that went into the trash.")
    freed: int = Field(description="Bytes: in the trash for seven days, or of caches for ever.")
    asked_at: datetime
    ended_at: datetime | None


class ChoreList(PageOf):
    """What was done, the newest first."""

    items: list[Chore]


@router.get("/files/tidying", response=Tidying, summary="Read what is tidied in your workspace")
def tidying_read(request: HttpRequest) -> Any:
    """Your rule, and the last look at each machine that holds files of yours."""
    return _shown(request)


@router.put("/files/tidying/keep", response=Tidying, summary="Say which checkpoints stay")
def tidying_keep(request: HttpRequest, wish: KeepWish) -> Any:
    """Looks at what would go with it; nothing is removed by itself until you switch it on."""
    may_launch(request)
    user, now = caller(request), timezone.now()
    keep_save(user=user, folders=wish.folders, keep=Keep(wish.newest, wish.metric, wish.direction), now=now)
    if workspaces_of(user=user).exists():
        looks_ask(user=user, now=now)
    return _shown(request)


@router.put("/files/tidying/caches", response=Tidying, summary="Say which caches are emptied at labs' ends")
def tidying_caches(request: HttpRequest, wish: CachesWish) -> Any:
    """When your last lab on a machine has ended; none is not at all."""
    may_launch(request)
    caches_save(user=caller(request), names=wish.caches, now=timezone.now())
    return _shown(request)


@router.put("/files/tidying/switch", response=Tidying, summary="Have older checkpoints removed by themselves, or not")
def tidying_switch(request: HttpRequest, wish: SwitchWish) -> Any:
    """Refused before what would go was looked at. What goes lies in the trash for seven days."""
    may_launch(request)
    keep_switch(user=caller(request), on=wish.on, now=timezone.now())
    return _shown(request)


@router.post("/files/tidying/look", response={202: Tidying}, summary="Look at checkpoints and caches")
def tidying_look(request: HttpRequest) -> Any:
    """On every machine that holds files of yours; what is found is here a few seconds later."""
    may_launch(request)
    looks_ask(user=caller(request), now=timezone.now())
    return Status(202, _shown(request))


@router.post("/files/tidying/checkpoints", response={202: Chore}, summary="Put older checkpoints into the trash now")
def tidying_checkpoints(request: HttpRequest, wish: CheckpointsWish) -> Any:
    """Those that would go by your rule. Refused before they were looked at."""
    may_launch(request)
    return Status(202, _chore(chore_ask(user=caller(request), node_id=wish.node, kind=CHECKPOINTS, now=timezone.now())))


@router.post("/files/tidying/clear", response={202: Chore}, summary="Empty caches now")
def tidying_clear(request: HttpRequest, wish: ClearWish) -> Any:
    """Programs fill them again by themselves."""
    may_launch(request)
    return Status(202, _chore(chore_ask(user=caller(request), node_id=wish.node, kind=CACHES, caches=wish.caches, now=timezone.now())))


@router.get("/files/chores", response=ChoreList, summary="List what was tidied")
def chore_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """What is under way and what was done, by you or by your rule."""
    return page(request, chores_of(user=caller(request)), order=("-asked_at", "-pk"), cursor=cursor, limit=limit, show=_chore)


def _shown(request: HttpRequest) -> dict[str, Any]:
    user = caller(request)
    wish, looks = wish_of(user=user, now=timezone.now()), looks_of(user=user)
    told = {name: getattr(wish, name) for name in ("folders", "newest", "metric", "direction", "on", "caches")}
    return told | {"places": [_seen(use.node_id, wish, looks.get(use.node_id)) for use in workspaces_of(user=user)]}


def _seen(node_id: str, wish: models.Wish, look: models.Chore | None) -> dict[str, Any]:
    found = look.found if look else {}
    changed = ((one, datetime.fromtimestamp(one["changed"], UTC)) for one in found.get("seen", []))
    checkpoints = [{"path": one["path"], "bytes": one["size"], "changed_at": at, "stays": one["stays"]} for one, at in changed]
    fresh = look is not None and wish.pk is not None and look.asked_at >= wish.changed_at
    return {"node": node_id, "looked_at": look.ended_at if look else None, "fresh": fresh, "checkpoints": checkpoints, "caches": found.get("caches", {})}


def _chore(row: models.Chore) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in ("kind", "state", "words", "count", "freed", "asked_at", "ended_at")}
    return facts | {"id": row.pk, "node": row.node_id}
