"""Data sets: what labs see below /data."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from labs.datasets.queries import shelves_for
from labs.datasets.rules import Shelf
from labs.lifecycle.occupancy import nodes_view
from portal.api.auth import caller
from portal.api.pagination import Cursor, Limit, PageOf, page_of

router = Router(tags=["labs"])


class Place(Schema):
    """A data set on one machine."""

    node: str
    ready: bool = Field(description="Labs there see it.")
    words: str = Field(description="What is the matter, where it is not; else empty.")


class DataSet(Schema):
    """One version of a data set."""

    id: str = Field(description="`name@version`: send it, or the name alone for the newest, in `datasets` of POST /labs.")
    name: str = Field(description="The newest version is /data/NAME in labs, each one /data/NAME@VERSION.")
    version: str
    title: str
    licence: str
    encrypted_only: bool = Field(description="Labs see it only on machines whose workspaces lie encrypted.")
    bytes: int = Field(description="0 until a machine has read it.")
    nodes: list[Place]


class DataSetPage(PageOf):
    """A page of data sets."""

    items: list[DataSet]


@router.get("/datasets", response=DataSetPage, summary="List data sets")
def data_set_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Those that you may use, and which machines have them."""
    nodes = {node.id for node in nodes_view()}
    shelves = sorted(shelves_for(user=caller(request)), key=str)
    return page_of(request, shelves, name=str, cursor=cursor, limit=limit, show=lambda one: _shown(one, nodes))


def _shown(one: Shelf, nodes: set[str]) -> dict[str, Any]:
    places = [{"node": node, "ready": words == "", "words": words} for node, words in sorted(one.places.items()) if node in nodes]
    told = {name: getattr(one, name) for name in ("name", "version", "title", "licence", "encrypted_only")}
    return told | {"id": str(one), "bytes": one.size, "nodes": places}
