"""The images that labs can be launched from."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from ninja import Router

from labs.catalogue.models import Image
from labs.catalogue.queries import images_offered, may_use, qualifications_last
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_fits, image_progress, nodes_all, runtimes
from labs.trials.queries import images_used
from portal.api import schemas_images as schemas
from portal.api.auth import caller
from portal.api.pagination import Cursor, Limit, page
from portal.api.schemas import Number

router = Router(tags=["fleet"])
#: Read in the image itself.
READ_INSIDE = ("cudnn", "nccl", "ptx", "jupyter_server", "jupyterlab", "sass", "sshd", "size")


@router.get("/images", response=schemas.ImagePage, summary="List images")
def image_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Images on offer, and how far the nodes are with them."""
    nodes: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        nodes.setdefault(row.image_id, []).append(row)
    rows = images_offered(runtimes=runtimes() or None, user=caller(request))
    return page(request, rows, order=("title", "id"), cursor=cursor, limit=limit, show=lambda image: _shown(image, nodes.get(image.pk, [])))


@router.get("/images/{image_id}", response=schemas.ImageWhole, summary="Show one image")
def image_show(request: HttpRequest, image_id: Number) -> Any:
    """What is in it, on which cards it computes, what came of trying it, its packages. Also one that is not on offer any more, as labs may still run it."""
    user = caller(request)
    image = Image.objects.select_related("contents").prefetch_related("groups", "qualifications").get(pk=image_id)
    if not user.is_administrator and not may_use(image, user):
        raise Image.DoesNotExist
    contents = getattr(image, "contents", None)
    offered = images_offered(runtimes=runtimes() or None, user=user).filter(pk=image.pk).exists()
    whole = _shown(image, [row for row in image_progress() if row.image_id == image.pk]) | _inside(image) | _known(image)
    return whole | {"offered": offered, "packages": contents.packages if contents else [], "packages_read_at": contents.read_at if contents else None}


def _shown(image: Image, rows: list[NodeImage]) -> dict[str, Any]:
    names = ("id", "slug", "title", "description", "runtime", "digest", "torch", "cuda", "python")
    on_nodes = [{"node": row.node_id, "state": row.state, "percent": row.percent, "words": row.words} for row in rows]
    return {name: getattr(image, name) for name in names} | {"nodes": on_nodes, "ready": any(row.state == NodeImage.State.PRESENT for row in rows)}


def _inside(image: Image) -> dict[str, Any]:
    """As it was read in it; what was not read is null."""
    return {name: image.inside.get(name) for name in READ_INSIDE} | {
        "made_at": parse_datetime(image.inside.get("made_at", "") or "") or image.created_at,
        "read_at": image.looked_at,
        "fault": image.inside_words,
    }


def _known(image: Image) -> dict[str, Any]:
    """What is known of it from without: cards, trials, use, weaknesses."""
    there = image_fits(image=image, nodes=[node for node in nodes_all() if node.runtime == image.runtime])
    fits = [
        {"node": node, "model": model, "answer": fit.answer, "words": fit.words, "fix": fit.fix}
        for node, cards in there.items()
        for model, fit in cards.items()
    ]
    names = ("card", "driver", "state", "words", "ended_at")
    labs, people = images_used(now=timezone.now()).get(image.pk, (0, 0))
    scan = {"scanner": image.findings.get("scanner", ""), "counts": image.findings.get("counts", {}), "scanned_at": image.scanned_at}
    return {
        "fits": fits,
        "tried": [{name: getattr(one, name) for name in names} for one in qualifications_last(images=[image]).get(image.pk, [])],
        "used": {"labs": labs, "people": people},
        "weaknesses": scan if image.scanned_at else None,
    }
