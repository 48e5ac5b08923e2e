"""The images that labs start from."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from labs.catalogue.compat import Fit
from labs.catalogue.models import Image, Qualification
from labs.catalogue.official import nearest, never
from labs.catalogue.queries import images_offered, qualifications_last
from labs.fleet.models import Node, NodeImage
from labs.fleet.queries import image_fits, image_progress, nodes_all, runtimes
from labs.trials.queries import cards_to_try, images_used
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.images import FindForm

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Row:
    """An image as people choose it."""

    image: Image
    nodes: list[NodeImage]
    fits: list[tuple[str, str, Fit]]
    labs: int
    people: int

    @property
    def made_at(self) -> datetime | None:
        """When it was made, as its maker says; else when it came into the catalogue."""
        return parse_datetime(self.image.inside.get("made_at", "") or "") or self.image.created_at

    @property
    def is_coming(self) -> bool:
        """Is a node at it now?"""
        return any(one.state == NodeImage.State.PULLING for one in self.nodes)

    @property
    def gib(self) -> float:
        """Its size on a disk; 0 while nobody knows."""
        return round(self.image.inside.get("size", 0) / GIB, 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """One image on one kind of card: what counts, of each driver, and whether it is being tried."""

    card: str
    found: list[Qualification]


@require_safe
@person_required
def images(request: PersonRequest) -> HttpResponse:
    """Every image on offer, with how far each node is with it, what came of trying it, and an answer to who looks for another."""
    offered = images_offered(runtimes=runtimes(), user=request.user).select_related("made_by").prefetch_related("qualifications")
    rows, cards = image_rows(list(offered)), cards_to_try()
    form = FindForm(request.GET if "torch" in request.GET else None)
    context = {"rows": rows, "cards": cards, "matrix": matrix([row.image for row in rows], cards), "form": form, "answer": _answer(form, rows)}
    return render(request, "images/images.html", context)


def image_rows(offered: list[Image]) -> list[Row]:
    """With where each is, on which cards it computes, and how it is used."""
    where: dict[int, list[NodeImage]] = {}
    for row in image_progress():
        where.setdefault(row.image_id, []).append(row)
    nodes, used = list(nodes_all()), images_used(now=timezone.now())
    return [Row(image, where.get(image.pk, []), _fits(image, nodes), *used.get(image.pk, (0, 0))) for image in offered]


def matrix(offered: list[Image], cards: list[str]) -> list[tuple[Image, list[Cell]]]:
    """Image x card; images that were never tried are left out."""
    tried = qualifications_last(images=offered)
    return [(image, [Cell(card, [one for one in tried[image.pk] if one.card == card]) for card in cards]) for image in offered if image.pk in tried]


def _fits(image: Image, nodes: list[Node]) -> list[tuple[str, str, Fit]]:
    """Node, model and what to expect there."""
    found = image_fits(image=image, nodes=[node for node in nodes if node.runtime == image.runtime])
    return [(node, model, fit) for node, cards in found.items() for model, fit in cards.items()]


def _answer(form: FindForm, rows: list[Row]) -> tuple[str, list[Image]] | None:
    """Words, and the images here that are what was looked for."""
    if not form.is_bound or not form.is_valid():
        return None
    torch, cuda = form.cleaned_data["torch"], form.cleaned_data["cuda"]
    here = [row.image for row in rows if row.image.torch.startswith(torch) and (row.image.cuda == cuda or not cuda)]
    if here:
        return "It is here.", here
    why = never(torch, cuda)
    return why or f"There is no PyTorch {torch}{f' with CUDA {cuda}' if cuda else ''} on offer here. {nearest(torch, cuda)}", []
