"""Tools in labs, and single ports of labs shared with others."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.lifecycle.addresses import app_origin
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner
from labs.people.errors import Refused
from labs.people.models import Group
from labs.sharing import models
from labs.sharing.queries import apps_of, shares_of, shares_with
from labs.sharing.rules import FOLDER_MOST, MOST_HOURS
from labs.sharing.services import app_start, app_stop, share_create, share_withdraw
from portal.api.auth import caller, may_launch
from portal.api.pagination import Cursor, Limit, PageOf, page_of
from portal.api.schemas import Number, Strict

router = Router(tags=["apps"])
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
ToolName = Literal["tensorboard", "vscode"]


class AppWish(Strict):
    """A tool to start."""

    tool: ToolName
    folder: str = Field("", max_length=FOLDER_MOST, pattern=PRINTABLE, description="Below the workspace; empty for all of it.")


class AppEnd(Strict):
    """A tool to stop."""

    tool: ToolName


class App(Schema):
    """A tool in a lab."""

    tool: ToolName
    folder: str
    state: Literal["starting", "running", "ended"]
    port: int | None
    url: str | None = Field(description="Its own origin, for a browser that was let in from the lab's page.")
    words: str = Field(description="Why it ended, where its owner did not stop it.")
    asked_at: datetime


class ShareWish(Strict):
    """A port to share, with a person or with a team."""

    port: int = Field(ge=1024, le=65535)
    hours: int = Field(ge=1, le=MOST_HOURS)
    name: str = Field("", max_length=60, pattern=PRINTABLE, description="What its guests read.")
    email: str = Field("", max_length=254, pattern=PRINTABLE, description="A person's address; empty with a team.")
    group: str = Field("", max_length=60, pattern=PRINTABLE, description="The short name of one of your teams; empty with a person.")


class Share(Schema):
    """A port that others may enter."""

    id: int
    lab: str
    owner: str
    name: str
    port: int
    url: str
    guest: str
    shared_at: datetime
    until: datetime
    withdrawn_at: datetime | None


class AppList(PageOf):
    """The newest of each tool in a lab."""

    items: list[App]


class ShareList(PageOf):
    """Shares, the newest first."""

    items: list[Share]


@router.get("/labs/{slug:lab_id}/apps", response=AppList, summary="List a lab's tools")
def app_list(request: HttpRequest, lab_id: str, cursor: Cursor, limit: Limit) -> Any:
    """TensorBoard and VS Code in the lab's present attempt."""
    return page_of(request, apps_of(lab=_lab(request, lab_id)), name=lambda one: one.pk, cursor=cursor, limit=limit, show=_app)


@router.post("/labs/{slug:lab_id}/apps", response={201: App}, summary="Start a tool in a lab")
def app_create(request: HttpRequest, lab_id: str, wish: AppWish) -> Status[Any]:
    """The lab's node starts it. Asked for again on the same folder, the answer is the one that is open."""
    may_launch(request)
    lab = _lab(request, lab_id)
    return Status(201, _app(app_start(lab=lab, tool=wish.tool, folder=wish.folder, actor=caller(request), now=timezone.now())))


@router.post("/labs/{slug:lab_id}/apps/stop", response=AppList, summary="Stop a tool in a lab")
def app_end(request: HttpRequest, lab_id: str, wish: AppEnd) -> Any:
    """Stopping what has ended changes nothing."""
    may_launch(request)
    lab = _lab(request, lab_id)
    app_stop(lab=lab, tool=wish.tool, actor=caller(request), now=timezone.now())
    return {"items": [_app(one) for one in apps_of(lab=lab)], "next": None}


@router.get("/labs/{slug:lab_id}/shares", response=ShareList, summary="List what a lab shares")
def share_list(request: HttpRequest, lab_id: str, cursor: Cursor, limit: Limit) -> Any:
    """With whom which port of one's own lab is shared now."""
    found = shares_of(lab=_lab(request, lab_id), now=timezone.now())
    return page_of(request, found, name=lambda one: one.pk, cursor=cursor, limit=limit, show=_share)


@router.post("/labs/{slug:lab_id}/shares", response={201: Share}, summary="Share a port of a lab")
def share_make(request: HttpRequest, lab_id: str, wish: ShareWish) -> Status[Any]:
    """A person, or everybody of one of your teams, may enter that port until then, and nothing else of the lab."""
    may_launch(request)
    lab, group = _lab(request, lab_id), _group(wish.group)
    values = wish.model_dump(exclude={"group"})
    return Status(201, _share(share_create(lab=lab, group=group, actor=caller(request), now=timezone.now(), **values)))


@router.post("/labs/{slug:lab_id}/shares/{int:share_id}/withdraw", response=Share, summary="Withdraw a share")
def share_end(request: HttpRequest, lab_id: str, share_id: Number) -> Any:
    """Its guests are cut off within seconds."""
    may_launch(request)
    lab = _lab(request, lab_id)
    share_withdraw(lab=lab, share_id=share_id, actor=caller(request), now=timezone.now())
    return _share(models.Share.objects.select_related("user", "group", "lab__owner").get(pk=share_id))


@router.get("/shared", response=ShareList, summary="List what is shared with you")
def shared_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Ports of other people's labs that you may enter now."""
    found = shares_with(user=caller(request), now=timezone.now())
    return page_of(request, found, name=lambda one: one.pk, cursor=cursor, limit=limit, show=_share)


def _lab(request: HttpRequest, lab_id: str) -> Lab:
    """One's own: what runs in somebody's lab is its owner's to share, whatever the token."""
    return lab_for_owner(user=caller(request), lab_id=lab_id)


def _group(slug: str) -> Group | None:
    found = Group.objects.filter(slug=slug).first() if slug else None
    if slug and found is None:
        raise Refused(f"There is no group {slug!r}.", field="group")
    return found


def _app(row: models.App) -> dict[str, Any]:
    url = f"{app_origin(row.lab_id, row.port)}/" if row.port and row.state == row.State.RUNNING else None
    return {"tool": row.tool, "folder": row.folder, "state": row.state, "port": row.port, "url": url, "words": row.words, "asked_at": row.asked_at}


def _share(row: models.Share) -> dict[str, Any]:
    named = {name: getattr(row, name) for name in ("id", "name", "port", "guest", "shared_at", "until", "withdrawn_at")}
    return named | {"lab": row.lab_id, "owner": row.lab.owner.email, "url": f"{app_origin(row.lab_id, row.port)}/"}
