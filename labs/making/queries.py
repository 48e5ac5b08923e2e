"""Which images are in the making, and how much room a person has for more."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from labs.catalogue.models import Image
from labs.catalogue.queries import images_made_by
from labs.making.models import Making
from labs.people.models import Group, User
from labs.people.queries import group_ids_with_ancestors

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Room:
    """What a person's own images hold, and what they may: images, bytes of their layers."""

    images: int
    held: int

    @property
    def most_images(self) -> int:
        """How many one may have."""
        return int(settings.IMAGES_PER_PERSON)

    @property
    def most(self) -> int:
        """Bytes that the layers of all of them may have."""
        return int(settings.IMAGES_GIB_PER_PERSON) * GIB

    @property
    def left(self) -> int:
        """Bytes."""
        return max(self.most - self.held, 0)

    @property
    def held_gib(self) -> float:
        """Rounded to a hundredth."""
        return round(self.held / GIB, 2)

    @property
    def most_gib(self) -> int:
        """Of all layers together."""
        return int(settings.IMAGES_GIB_PER_PERSON)


def room_of(*, user: User) -> Room:
    """With what is in the making counted as an image."""
    made = list(images_made_by(user=user))
    coming = Making.objects.filter(owner=user, state__in=Making.OPEN).exclude(kind=Making.Kind.DOCKERFILE).count()
    return Room(len(made) + coming, sum(image.layer_size for image in made))


def makings_of(*, user: User) -> QuerySet[Making]:
    """The person's own, the newest first: those under way, and how the last ones ended."""
    return Making.objects.select_related("base", "lab", "node", "image").filter(owner=user)


def making_for_owner(*, user: User, making_id: str) -> Making:
    """One's own; an administrator sees everybody's."""
    rows = Making.objects.select_related("base", "lab", "node", "image", "owner")
    return (rows if user.is_administrator else rows.filter(owner=user)).get(pk=making_id)


def image_for_maker(*, user: User, image_id: int) -> Image:
    """An image that the person made; an administrator is let at everybody's."""
    rows = Image.objects.filter(made_by__isnull=False, is_active=True)
    return (rows if user.is_administrator else rows.filter(made_by=user)).get(pk=image_id)


def makings_due(*, node_id: str) -> list[Making]:
    """What the node has to do, first come first; what it was at before it ended goes first."""
    rows = Making.objects.select_related("base", "lab", "node").filter(node_id=node_id, state__in=(Making.State.ASKED, Making.State.WORKING))
    return sorted(rows, key=lambda row: (row.state != Making.State.WORKING, row.asked_at, row.pk))


def makings_open() -> list[Making]:
    """All that have not ended."""
    return list(Making.objects.select_related("base", "lab", "node", "owner").filter(state__in=Making.OPEN).order_by("asked_at", "pk"))


def place_of(*, making: Making) -> int:
    """How many go before it on its node."""
    if making.state != Making.State.ASKED or making.node_id is None:
        return 0
    return sum(1 for row in makings_due(node_id=making.node_id) if (row.state, row.pk) != (making.state, making.pk) and row.asked_at <= making.asked_at)


def teams_of(*, user: User) -> QuerySet[Group]:
    """The teams and courses with which the person can share an image."""
    return Group.objects.filter(pk__in=group_ids_with_ancestors(user=user)).exclude(kind=Group.Kind.ORGANISATION)
