"""Templates: what a lab can begin with."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from labs.catalogue.queries import images_offered
from labs.fleet.queries import runtimes
from labs.lifecycle.occupancy import nodes_view
from labs.policy.queries import limits_of
from labs.starters.queries import Offer, offers_of, templates_for
from portal.api.auth import caller
from portal.api.pagination import Cursor, Limit, PageOf, page

router = Router(tags=["templates"])


class Sizes(Schema):
    """What a lab takes that begins with it: cut to your limits and to the machines that there are."""

    image: int | None = Field(description="The newest image that fits; null where none is on offer.")
    gpus: int
    cpus: int
    memory_gib: int
    shm_gib: int | None
    hours: int


class Template(Schema):
    """What a lab can begin with."""

    slug: str = Field(description="Send it as `template` of POST /labs.")
    title: str
    summary: str
    minutes: int = Field(description="About how long it takes.")
    version: int
    folder: str = Field(description="Where its files are copied once, below the workspace.")
    first: str = Field(description="The notebook that Open leads to, below the folder.")
    data: list[str] = Field(description="Data sets that it reads below /data.")
    group: str | None = Field(description="For whom, where it is not for everybody.")
    sizes: Sizes
    refused: str = Field(description="Why you cannot start it now; empty where you can.")


class TemplatePage(PageOf):
    """A page of templates."""

    items: list[Template]


@router.get("/templates", response=TemplatePage, summary="List templates")
def template_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Those that you can begin a lab with, the newest version of each."""
    user = caller(request)
    images = list(images_offered(runtimes=runtimes() or None, user=user))
    limits, nodes = limits_of(user=user, now=timezone.now()), nodes_view()

    rows = templates_for(user=user)
    offers = {one.version.pk: one for one in offers_of(versions=rows, images=images, limits=limits, nodes=nodes)}
    return page(request, rows, order=("template_id",), cursor=cursor, limit=limit, show=lambda version: _shown(offers[version.pk]))


def _shown(offer: Offer) -> dict[str, Any]:
    version, template = offer.version, offer.template
    sizes = {name: getattr(offer.sizes, name) for name in ("gpus", "cpus", "memory_gib", "shm_gib", "hours")}
    told = {name: getattr(template, name) for name in ("slug", "title", "summary", "minutes")}
    return told | {
        "version": version.number,
        "folder": version.folder,
        "first": version.first,
        "data": version.data,
        "group": str(template.group) if template.group else None,
        "sizes": sizes | {"image": offer.image.pk if offer.image else None},
        "refused": offer.refused,
    }
