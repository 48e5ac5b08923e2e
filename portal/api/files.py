"""One's files: where they are, and a link by which a program lists, downloads and uploads them. The bytes never pass the portal."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from labs.files import models
from labs.files.queries import desk_nodes, desks_of
from labs.files.services import desk_ask, desk_token_create
from labs.lifecycle.addresses import client_url
from labs.people.errors import Refused
from portal.api.auth import caller, may_launch
from portal.api.pagination import Cursor, Limit, PageOf, page_of
from portal.api.schemas import Strict

router = Router(tags=["files"])
State = Literal["closed", "opening", "open"]


class FilesWish(Strict):
    """On which machine."""

    node: str = Field("", max_length=40, pattern=r"^[A-Za-z0-9_-]*$", description="Its id; empty where one's files are on one machine only.")


class Place(Schema):
    """A machine that holds one's files."""

    node: str
    state: State
    words: str = Field(description="Why they are not open, where that is not by itself.")


class PlaceList(PageOf):
    """Every machine that holds one's files, or would."""

    items: list[Place]


class Link(Schema):
    """A way to one's files for a program."""

    node: str
    state: State = Field(description="Opening takes a few seconds: until then the address answers 503.")
    url: str = Field(
        description="Send the token as `Authorization: Bearer`. GET `api/list?path=`, `raw?path=` (ranges), `archive?path=&kind=tar`; "
        'POST `act` with JSON like `{"do": "mkdir", "path": "", "name": "data"}` (also move, delete, restore, purge, fetch); tus 1.0 at `upload`.'
    )
    token: str = Field(description="Shown once.")
    until: datetime


@router.get("/files", response=PlaceList, summary="List where your files are")
def files_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """A page of files is open while somebody uses it, and closes by itself."""
    user = caller(request)
    desks = desks_of(user=user)
    nodes = desk_nodes(user=user)
    return page_of(request, nodes, name=lambda node: node.pk, cursor=cursor, limit=limit, show=lambda node: _place(node.pk, desks.get(node.pk)))


@router.post("/files/link", response=Link, summary="Make a link to your files for a program")
def files_link(request: HttpRequest, wish: FilesWish) -> Any:
    """Opens them. The token is good for two hours, for these files and nothing else."""
    may_launch(request)
    user, now = caller(request), timezone.now()
    nodes = [node.pk for node in desk_nodes(user=user)]
    if not wish.node and len(nodes) != 1:
        raise Refused(f"Your files are on {len(nodes)} machines. Say on which: {', '.join(nodes) or 'there is none'}.", field="node")
    desk = desk_ask(user=user, node_id=wish.node or nodes[0], now=now)
    token, until = desk_token_create(desk=desk, now=now)
    return {"node": desk.node_id, "state": desk.state, "url": client_url(desk.pk), "token": token, "until": until}


def _place(node_id: str, desk: models.Desk | None) -> dict[str, Any]:
    return {"node": node_id, "state": desk.state if desk else "closed", "words": desk.words if desk else ""}
