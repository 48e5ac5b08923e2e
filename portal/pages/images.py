"""The images that labs start from."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labs.catalogue.compat import Fit
from labs.catalogue.models import Image
from labs.catalogue.queries import images_offered
from labs.fleet.models import Node, NodeImage
from labs.fleet.queries import image_fits, image_progress, nodes_all, runtimes
from portal.pages.access import PersonRequest, person_required


@require_safe
@person_required
def images(request: PersonRequest) -> HttpResponse:
    """Every image on offer, with how far each node is with it."""
    where: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        where.setdefault(row.image_id, []).append(row)
    nodes = list(nodes_all())
    rows = [(image, where.get(image.pk, []), _fits(image, nodes)) for image in images_offered(runtimes=runtimes())]
    return render(request, "images/images.html", {"rows": rows})


def _fits(image: Image, nodes: list[Node]) -> list[tuple[str, str, Fit]]:
    """Node, model and what to expect there."""
    found = image_fits(image=image, nodes=[node for node in nodes if node.runtime == image.runtime])
    return [(node, model, fit) for node, cards in found.items() for model, fit in cards.items()]
