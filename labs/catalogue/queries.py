"""Reading the catalogue."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from labs.catalogue.compat import Needs, Row, codes_of, rows_of
from labs.catalogue.models import Contents, Image, Qualification
from labs.people.models import User
from labs.people.queries import group_ids_with_ancestors, members_below


def images_offered(*, runtimes: set[str] | None = None, user: User | None = None, today: date | None = None) -> QuerySet[Image]:
    """Images that labs can be started from, of the runtimes that the fleet has, for this person (none named: the house's own); today where no day is."""
    day = today or timezone.localdate()
    found = Image.objects.filter(Q(deprecated_on=None) | Q(deprecated_on__gt=day), is_active=True, is_fit=True)
    found = found if runtimes is None else found.filter(runtime__in=runtimes)
    if user is None:
        return found.filter(made_by=None)
    if user.is_administrator:
        return found.filter(Q(made_by=None) | Q(made_by=user))
    groups = _Groups(user)
    return found.filter(pk__in=[image.pk for image in found.prefetch_related("groups") if _is_for(image, user, groups)])


class _Groups:
    """A person's groups with all above them, looked up when they are first asked for."""

    def __init__(self, user: User) -> None:
        self._user = user

    @cached_property
    def ids(self) -> frozenset[int]:
        """Their ids."""
        return frozenset(group_ids_with_ancestors(user=self._user))


@dataclass(frozen=True, slots=True)
class _Known:
    """Groups that are known already."""

    ids: frozenset[int]


def outsiders(*, image: Image, people: Iterable[User]) -> list[User]:
    """Those of the people who may not use it; in as many queries for a hundred as for one."""
    groups = frozenset(group.pk for group in image.groups.all())
    inside = set().union(*members_below(group_ids=groups).values())
    return [person for person in people if not _is_for(image, person, _Known(groups if person.pk in inside else frozenset()))]


def images_restricted() -> QuerySet[Image]:
    """Those that are not for everybody."""
    return Image.objects.filter(Q(made_by__isnull=False) | ~Q(roles=[]) | Q(groups__isnull=False)).distinct()


def may_use(image: Image, user: User) -> bool:
    """Is it for this person? Administrators may use all of the house's; what names neither roles nor groups is for everybody.

    What a person made is for that person and for those with whom it is shared.
    """
    return _is_for(image, user, _Groups(user))


def _is_for(image: Image, user: User, mine: _Groups | _Known) -> bool:
    if image.made_by_id == user.pk:
        return True
    if image.made_by_id is None and (user.is_administrator or user.role in image.roles):
        return True
    groups = {group.pk for group in image.groups.all()}
    return bool(groups & mine.ids) if groups else image.made_by_id is None and not image.roles


def images_all() -> QuerySet[Image]:
    """Also those that were retired."""
    return Image.objects.all()


def images_made_by(*, user: User) -> QuerySet[Image]:
    """The person's own images, the newest first."""
    return Image.objects.select_related("made_from").prefetch_related("groups").filter(made_by=user, is_active=True).order_by("-created_at")


def packages_of(*, image: Image) -> list[dict[str, str]]:
    """Its packages; empty while nobody has read them."""
    row = Contents.objects.filter(image=image).first()
    return list(row.packages) if row else []


def image_by_id(*, image_id: int) -> Image:
    """One image."""
    return Image.objects.get(pk=image_id)


def driver_rows() -> tuple[Row, ...]:
    """What each CUDA needs of a driver."""
    return rows_of(_table())


def image_needs(*, image: Image) -> Needs:
    """What an image brings: as it was read in the image itself, else as it is known of the official builds, which is the same in every image made of one."""
    cuda, torch = _two(image.cuda), _two(image.torch)
    said = image.inside.get("architecture")
    made: tuple[str, ...] = (said,) if isinstance(said, str) and said else ("amd64",)
    forward = bool(image.inside.get("forward"))
    sass, ptx = codes_of(image.inside.get("sass")), codes_of(image.inside.get("ptx"))
    if sass or ptx:
        return Needs(cuda=cuda, architectures=made, sass=sass, ptx="".join(ptx[:1]), forward=forward)
    row = next((row for row in _table()["pytorch_images"] if row["exists"] and (row["torch"], row["cuda"]) == (torch, cuda)), None)
    if row is None:
        return Needs(cuda=cuda, architectures=made, forward=forward)
    return Needs(cuda=cuda, architectures=made, sass=tuple(row["sass"]), ptx=row["ptx"] or "", forward=forward)


def verdicts_of(*, image: Image) -> Mapping[tuple[str, str], Qualification]:
    """What came of trying it, by card and driver; the last that came to an end counts. While it is tried again, nothing does."""
    found: dict[tuple[str, str], Qualification] = {}
    rows = [row for row in image.qualifications.all() if row.digest in ("", image.digest)]
    trying = {row.card for row in rows if row.state == Qualification.State.ASKED}
    for row in sorted(rows, key=lambda row: row.pk):
        if row.state in (Qualification.State.PASSED, Qualification.State.FAILED) and row.card not in trying:
            found[row.card, row.driver] = row
    return found


def qualifications_open() -> list[Qualification]:
    """Those that are being tried."""
    return list(Qualification.objects.select_related("image").filter(state=Qualification.State.ASKED).order_by("pk"))


def qualifications_last(*, images: Iterable[Image]) -> dict[int, list[Qualification]]:
    """By image: of each card and driver the one that counts, and those that are being tried."""
    rows = Qualification.objects.filter(image__in=list(images)).exclude(state=Qualification.State.VOID).order_by("pk")
    latest: dict[int, dict[tuple[str, str, str], Qualification]] = {}
    for row in rows:
        kind = row.state if row.state == Qualification.State.ASKED else ""
        latest.setdefault(row.image_id, {})[row.card, row.driver, kind] = row
    return {pk: sorted(found.values(), key=lambda row: (row.card, row.driver)) for pk, found in latest.items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "cuda_compat.json").read_text())
    return table


def _two(version: str) -> str:
    """Major and minor number."""
    return ".".join(version.split("+")[0].split(".")[:2])
