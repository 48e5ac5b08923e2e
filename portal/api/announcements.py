"""What administrators tell everybody."""

from datetime import datetime, timedelta
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.announcements.models import Announcement as Row
from labs.announcements.queries import announcements_for, announcements_standing
from labs.announcements.services import LONGEST, announcement_make, announcement_withdraw
from labs.fleet.models import Node
from labs.people.errors import Refused
from labs.people.models import Group
from portal.api.auth import caller, may_administer
from portal.api.pagination import Cursor, Limit, PageOf, page_of
from portal.api.schemas import Number, Strict
from portal.banners import banners_changed

router = Router(tags=["announcements"])
MOST_HOURS = LONGEST // timedelta(hours=1)
#: What can be printed in a terminal without harm.
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"


class AnnouncementWish(Strict):
    """Something to announce."""

    words: str = Field(min_length=1, max_length=400, pattern=PRINTABLE)
    hours: int = Field(ge=1, le=MOST_HOURS, description="How long it is shown.")
    tone: Literal["note", "warning"] = "note"
    group: str = Field("", max_length=60, pattern=PRINTABLE, description="The short name of a group, with everybody below it; empty for everybody.")
    node: str = Field("", max_length=64, pattern=PRINTABLE, description="Only people with labs on this node.")
    by_notice: bool = Field(False, description="Send it as a message too.")
    to_terminals: bool = Field(False, description="Write it to the terminals of running labs.")


class Announcement(Schema):
    """An announcement."""

    id: int
    words: str
    tone: Literal["note", "warning"]
    audience: str
    made_at: datetime
    until: datetime
    withdrawn_at: datetime | None


class AnnouncementList(PageOf):
    """What stands now, the newest first."""

    items: list[Announcement]


@router.get("/announcements", response=AnnouncementList, summary="Read the announcements")
def announcement_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Those that concern the caller and stand now."""
    found = announcements_for(user=caller(request), standing=announcements_standing(now=timezone.now()))
    return page_of(request, found, name=lambda row: row.pk, cursor=cursor, limit=limit, show=lambda row: row)


@router.post("/announcements", response={201: Announcement}, summary="Announce something")
def announcement_create(request: HttpRequest, wish: AnnouncementWish) -> Status[Any]:
    """For administrators, with a token of scope admin."""
    may_administer(request)
    now = timezone.now()
    told = wish.model_dump(exclude={"hours", "group", "node"})
    until = now + timedelta(hours=wish.hours)
    made = announcement_make(**told, group=_group(wish.group), node=_node(wish.node), until=until, actor=caller(request), now=now)
    banners_changed()
    return Status(201, made)


@router.post("/announcements/{int:announcement_id}/withdraw", response=Announcement, summary="Withdraw an announcement")
def announcement_end(request: HttpRequest, announcement_id: Number) -> Any:
    """Show it no more. One that is over stays as it is."""
    may_administer(request)
    announcement_withdraw(announcement_id=announcement_id, actor=caller(request), now=timezone.now())
    banners_changed()
    return Row.objects.select_related("group", "node").get(pk=announcement_id)


def _group(slug: str) -> Group | None:
    found = Group.objects.filter(slug=slug).first() if slug else None
    if slug and found is None:
        raise Refused(f"There is no group {slug!r}.", field="group")
    return found


def _node(pk: str) -> Node | None:
    found = Node.objects.filter(pk=pk).first() if pk else None
    if pk and found is None:
        raise Refused(f"There is no node {pk!r}.", field="node")
    return found
