"""The images that labs start from."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labs.catalogue.queries import images_offered
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_progress, runtimes
from portal.pages.access import PersonRequest, person_required


@require_safe
@person_required
def images(request: PersonRequest) -> HttpResponse:
    """Every image on offer, with how far each node is with it."""
    where: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        where.setdefault(row.image_id, []).append(row)
    rows = [(image, where.get(image.pk, [])) for image in images_offered(runtimes=runtimes())]
    return render(request, "images/images.html", {"rows": rows})
