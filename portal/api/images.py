"""The images that labs can be launched from."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from labs.catalogue.queries import images_offered
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_progress, runtimes
from portal.api import schemas
from portal.api.auth import caller
from portal.api.pagination import Cursor, Limit, page

router = Router(tags=["fleet"])


@router.get("/images", response=schemas.ImagePage, summary="List images")
def image_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Images on offer, and how far the nodes are with them."""
    nodes: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        nodes.setdefault(row.image_id, []).append(row)
    rows = images_offered(runtimes=runtimes() or None, user=caller(request))
    return page(request, rows, order=("title", "id"), cursor=cursor, limit=limit, show=lambda image: _shown(image, nodes.get(image.pk, [])))


def _shown(image: Any, rows: list[NodeImage]) -> dict[str, Any]:
    names = ("id", "slug", "title", "description", "runtime", "digest", "torch", "cuda", "python")
    on_nodes = [{"node": row.node_id, "state": row.state, "percent": row.percent, "words": row.words} for row in rows]
    return {name: getattr(image, name) for name in names} | {"nodes": on_nodes, "ready": any(row.state == NodeImage.State.PRESENT for row in rows)}
