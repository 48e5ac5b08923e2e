"""Reading the catalogue."""

from django.db.models import QuerySet

from labs.catalogue.models import Image


def images_offered(*, runtimes: set[str] | None = None) -> QuerySet[Image]:
    """Images that labs can be started from, of the runtimes that the fleet has."""
    found = Image.objects.filter(is_active=True)
    return found if runtimes is None else found.filter(runtime__in=runtimes)


def images_all() -> QuerySet[Image]:
    """Also those that were retired."""
    return Image.objects.all()
