"""The packages of an image: as a page, and as a file that scanners read (SBOM)."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from labs.catalogue.models import Image
from labs.catalogue.queries import may_use
from labs.making.bill import bill_of
from labs.people.models import User
from portal.pages.access import PersonRequest, person_required


@require_safe
@person_required
def image_packages(request: PersonRequest, image_id: int) -> HttpResponse:
    """All of them, those of Python first."""
    image = _image(request.user, image_id)
    contents = getattr(image, "contents", None)
    return render(request, "images/packages.html", {"image": image, "contents": contents, "packages": contents.packages if contents else []})


@require_safe
@person_required
def image_bill(request: PersonRequest, image_id: int) -> HttpResponse:
    """CycloneDX, as a file."""
    image = _image(request.user, image_id)
    contents = getattr(image, "contents", None)
    text = bill_of(name=image.name, digest=image.digest, packages=contents.packages if contents else (), read_at=contents.read_at if contents else None)
    return HttpResponse(text, content_type="application/vnd.cyclonedx+json", headers={"Content-Disposition": f'attachment; filename="{image.slug}.cdx.json"'})


def _image(user: User, image_id: int) -> Image:
    """One that the person may use; an administrator sees all."""
    image = Image.objects.select_related("contents").prefetch_related("groups").get(pk=image_id)
    if not user.is_administrator and not may_use(image, user):
        raise Image.DoesNotExist
    return image
