"""Which templates there are for whom, what a click on one takes, and whose files are still to be put into a lab."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery

from labs.catalogue.models import Image
from labs.datasets.rules import Shelf, matching
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_refused, nodes_all
from labs.lifecycle import states
from labs.lifecycle.models import Lab
from labs.people.models import Group, Role, User
from labs.people.queries import group_ids_with_ancestors, groups_taught
from labs.policy.rules import Limits
from labs.scheduler.snapshot import NodeView
from labs.starters.models import Bundle, Parcel, Start, Template, Version
from labs.starters.rules import Needs, Room, short_of_gpus, sizes_for, version_numbers


@dataclass(frozen=True, slots=True)
class Offer:
    """A template's newest version as one person can start it now. `refused`: why they cannot, in words; then `image` may be None."""

    version: Version
    image: Image | None
    sizes: Needs
    refused: str = ""

    @property
    def template(self) -> Template:
        """Whose version it is."""
        return self.version.template


def templates_for(*, user: User) -> QuerySet[Version]:
    """The newest versions of the templates that the person may start, the shipped ones first."""
    newest = Version.objects.filter(template=OuterRef("template")).order_by("-number").values("pk")[:1]
    rows = Version.objects.select_related("template__group", "image").filter(pk=Subquery(newest), template__retired_at=None)
    if not user.is_administrator:
        rows = rows.filter(Q(template__group=None) | Q(template__group__in=group_ids_with_ancestors(user=user)))
    return rows.order_by("-template__shipped", "template__made_at", "template__pk")


def templates_managed(*, user: User) -> list[Template]:
    """Those that the person may change, with their versions, the retired ones too: all for administrators, those of their groups for teachers."""
    rows = Template.objects.select_related("group", "made_by").prefetch_related(Prefetch("versions", Version.objects.select_related("image")))
    return list(rows) if user.is_administrator else list(rows.filter(group__in=groups_taught(user=user)))


def audiences_of(*, user: User) -> list[Group]:
    """The groups for which the person may make templates."""
    return list(Group.objects.all()) if user.is_administrator else groups_taught(user=user)


def may_make(*, user: User) -> bool:
    """May the person make templates at all? Teachers for their courses and teams, administrators for everybody."""
    return user.is_administrator or (user.role == Role.TEACHER and bool(groups_taught(user=user)))


def room_of(nodes: Iterable[NodeView]) -> Room:
    """The most that one machine has. Slices are no cards of their own."""
    held = list(nodes)
    cards = [sum(not card.slice for card in (*node.cards, *node.away)) for node in held]
    return Room(
        gpus=max(cards, default=0), cpus=max((node.cpus for node in held), default=0), memory_gib=max((node.memory_mib // 1024 for node in held), default=0)
    )


def offers_of(*, versions: Iterable[Version], images: Iterable[Image], limits: Limits, nodes: Iterable[NodeView]) -> list[Offer]:
    """What a click on each takes, from what the person may have and the house holds."""
    room, choice = room_of(nodes), _Choice(list(images))
    return [_offer(version, choice, limits, room) for version in versions]


def _offer(version: Version, choice: "_Choice", limits: Limits, room: Room) -> Offer:
    sizes = sizes_for(version.needs, limits, room)
    refused = short_of_gpus(version.needs, limits, room)
    image = choice.of(version, bool(sizes.gpus))
    if image is None and not refused:
        refused = f"Its image {version.image} is not on offer." if version.image else "No image that it can use is on offer."
    return Offer(version, image, sizes, refused)


class _Choice:
    """Which of these images a version gets: its own, or the newest that fits, those that a node holds already before others."""

    def __init__(self, images: list[Image]) -> None:
        self._images = {image.pk: image for image in images}
        self._found: dict[tuple[str, bool], Image | None] = {}
        self._held: set[int] | None = None

    def of(self, version: Version, on_gpu: bool) -> Image | None:
        """The image; None where none is on offer."""
        if version.image_id is not None:
            return self._images.get(version.image_id)
        key = (version.cuda, on_gpu)
        if key not in self._found:
            self._found[key] = next((one for one in self._newest(version.cuda, on_gpu) if not on_gpu or not image_refused(image=one, nodes=nodes_all())), None)
        return self._found[key]

    def _newest(self, cuda: str, on_gpu: bool) -> list[Image]:
        if self._held is None:
            self._held = set(NodeImage.objects.filter(state=NodeImage.State.PRESENT).values_list("image_id", flat=True))
        held, least = self._held, version_numbers(cuda)
        fits = [one for one in self._images.values() if not on_gpu or version_numbers(one.cuda) >= least]
        return sorted(fits, key=lambda one: (one.pk in held, version_numbers(one.torch), version_numbers(one.cuda), -one.pk), reverse=True)


def data_of_template(*, version: Version, shelves: Iterable[Shelf]) -> tuple[str, ...]:
    """The version's data sets that a lab can wait for: those of the person's that are on a node. Of the others its page tells."""
    held = [one for one in shelves if "" in one.places.values()]
    return tuple(name for name in version.data if matching(name, held))


def start_of(*, lab: Lab) -> Start | None:
    """What the lab was started from; None for most."""
    return Start.objects.select_related("version__template").filter(lab=lab).first()


def starts_wanted(*, node_id: str) -> list[Start]:
    """Running labs of this node that wait for their template's files, for its worker."""
    rows = Start.objects.select_related("lab", "version__template").filter(state=Start.State.WANTED, lab__node=node_id, lab__state=states.RUNNING)
    return list(rows.order_by("asked_at"))


def parcels_of(*, user: User) -> list[Parcel]:
    """Folders that the person had copied lately, without what is in them."""
    return list(Parcel.objects.filter(owner=user).defer("content"))


def parcels_wanted(*, node_id: str) -> list[Parcel]:
    """Folders that are to be copied on this node, for its worker."""
    return list(Parcel.objects.filter(node=node_id, state=Parcel.State.ASKED).defer("content"))


def bundle_of(*, version: Version) -> bytes | None:
    """The zip of a version's files, where they came from a folder."""
    row = Bundle.objects.filter(version=version).values_list("content", flat=True).first()
    return None if row is None else bytes(row)
