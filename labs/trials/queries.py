"""How images are used, and which of them a node could do without."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q

from labs.catalogue.models import Image, Qualification
from labs.catalogue.queries import qualifications_open
from labs.fleet.models import Gpu, NodeImage
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.timetable.models import Meeting

#: "How often used" looks back so far, and a class so far ahead keeps its image.
USED_WITHIN, AHEAD = timedelta(days=30), timedelta(days=14)
#: On a disk that fills, an image that nobody used for so long may go.
FULL_AFTER = timedelta(hours=12)


def images_used(*, now: datetime) -> dict[int, tuple[int, int]]:
    """By image: labs of the last 30 days, and how many people had them."""
    rows = Lab.objects.filter(requested_at__gt=now - USED_WITHIN).values("image_id").annotate(labs=Count("pk"), people=Count("owner", distinct=True))
    return {row["image_id"]: (row["labs"], row["people"]) for row in rows}


def image_in_use(*, image_id: int, now: datetime) -> bool:
    """Does a live lab, a class to come or a trial need it?"""
    if labs_of_image(image_id=image_id):
        return True
    soon = Q(reservation__image_id=image_id, cancelled_at=None, released_at=None, ends_at__gt=now, starts_at__lt=now + AHEAD)
    return Meeting.objects.filter(soon).exists() or Qualification.objects.filter(image_id=image_id, state=Qualification.State.ASKED).exists()


def labs_of_image(*, image_id: int) -> bool:
    """Does a live lab need it? Asked by a node, which sees its own labs only."""
    return Lab.objects.filter(image_id=image_id, state__in=states.LIVE).exists()


def images_spare(*, node_id: str, full: bool, now: datetime) -> list[NodeImage]:
    """Images that the node may let go, longest unused first. What cannot be had again from a registry stays, and so does the house's own."""
    age = FULL_AFTER if full else timedelta(days=settings.IMAGE_KEEP_DAYS)
    held = NodeImage.objects.select_related("image").filter(node_id=node_id, state=NodeImage.State.PRESENT)
    rows = [row for row in held.filter(image__pulled=True, image__keeping=Image.Keeping.NEEDED) if row.image.name != settings.LAB_IMAGE]
    last = _last_used(row.image_id for row in rows)
    since = {row.pk: max(last.get(row.image_id, row.updated_at), row.updated_at) for row in rows}
    spare = [row for row in rows if since[row.pk] <= now - age and not image_in_use(image_id=row.image_id, now=now)]
    return sorted(spare, key=lambda row: since[row.pk])


def images_told_spare(*, node_id: str, full: bool) -> list[NodeImage]:
    """Images that the house told the node it may let go; `full`: those too that may go where the disk fills."""
    marks = (NodeImage.Spare.UNUSED, NodeImage.Spare.FULL) if full else (NodeImage.Spare.UNUSED,)
    held = NodeImage.objects.select_related("image").filter(node_id=node_id, state=NodeImage.State.PRESENT, spare__in=marks)
    return list(held.order_by("updated_at"))


def images_deleted(*, node_id: str) -> list[NodeImage]:
    """What the node holds of people's images that they deleted."""
    held = NodeImage.objects.select_related("image").filter(node_id=node_id)
    return list(held.filter(image__made_by__isnull=False, image__is_active=False))


def _last_used(image_ids: Iterable[int]) -> dict[int, datetime]:
    rows = Lab.objects.filter(image_id__in=list(image_ids)).values("image_id").annotate(ended=Max("ended_at"), asked=Max("requested_at"))
    return {row["image_id"]: max(filter(None, (row["ended"], row["asked"]))) for row in rows}


def trials_due() -> list[tuple[Qualification, Lab | None]]:
    """What is being tried, each with its lab."""
    rows = qualifications_open()
    labs = {lab.pk: lab for lab in Lab.objects.select_related("owner", "node").filter(pk__in=[row.lab for row in rows if row.lab])}
    return [(row, labs.get(row.lab)) for row in rows]


def cards_to_try() -> list[str]:
    """Kinds of card of the fleet that compute, and the CPU alone."""
    models = Gpu.objects.filter(simulated=False, profile="", mig=False).order_by("model").values_list("model", flat=True).distinct()
    return [*models, Qualification.CPU]
