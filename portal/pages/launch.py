"""Launch: a form that says before the click what the click will do."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from labs.catalogue.models import Image
from labs.catalogue.queries import images_offered
from labs.datasets.queries import shelves_for
from labs.datasets.rules import Shelf
from labs.fleet.models import NodeImage
from labs.fleet.queries import image_progress, runtimes
from labs.lifecycle.allowances import Allowance
from labs.lifecycle.models import Lab
from labs.lifecycle.occupancy import Nodes
from labs.lifecycle.queries import labs_of, wish_preview
from labs.lifecycle.queueing import estimates_score
from labs.lifecycle.services import lab_request
from labs.lifecycle.waiting import Floor, floor_load
from labs.people.errors import Refused
from labs.policy.rules import Limits
from labs.scheduler.snapshot import Card
from labs.starters.queries import Offer as StartOffer
from labs.starters.queries import data_of_template, offers_of, templates_for
from labs.starters.services import template_start
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.launch import SLICE, LaunchForm
from portal.pages.launch_data import sets_shown
from portal.pages.presets import sizes_for
from portal.pages.quota import bars

#: How near an image is to being usable, nearest first.
NEARNESS = (NodeImage.State.PRESENT, NodeImage.State.PULLING, NodeImage.State.ABSENT, NodeImage.State.FAILED)
ABSENT = ("absent", "Prepared on first use")
#: Beside these the page says what is wrong with them.
BESIDE = ("image", "gpus", "gpu_model", "cpus", "memory_gib", "shm_gib", "hours", "name", "datasets")


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def launch(request: PersonRequest) -> HttpResponse:
    """The form; posted, one lab."""
    offer = _offer(request)
    if request.method != "POST":
        offer = replace(offer, starts=_starts(request, offer))
        return _page(request, _form(offer, _initial(request, offer)), offer)
    form = _form(offer, request.POST)
    if form.is_valid():
        try:
            lab = _launched(request, form)
        except Refused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, refused.words)
            form.more = refused.more
        else:
            return redirect("lab", lab_id=lab.pk)
    return _page(request, form, offer, status=422)


def _launched(request: PersonRequest, form: LaunchForm) -> Lab:
    """The lab that a valid form asks for, with a template's files or without."""
    user, data = request.user, form.cleaned_data
    begin = partial(template_start, slug=data["template"]) if data["template"] else lab_request
    return begin(owner=user, wish=form.wish, now=timezone.now(), actor=user, idempotency_key=data["key"])


@require_safe
@person_required
def launch_verdict(request: PersonRequest) -> HttpResponse:
    """What the click would do with the numbers as they stand; asked for at every change."""
    offer = _offer(request)
    form = _form(offer, request.GET)
    beside = [form[name] for name in BESIDE if name != "datasets" or offer.sets]
    return render(request, "launch/_verdict.html", _verdict(request, form, offer) | {"beside": beside})


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to choose from: what the person may have, the images, the machines and their cards."""

    floor: Floor
    may: Allowance
    images: QuerySet[Image]
    starts: Sequence[StartOffer] = ()
    sets: Sequence[Shelf] = ()

    @property
    def nodes(self) -> Nodes:
        """The machines."""
        return self.floor.nodes

    @property
    def limits(self) -> Limits:
        """The person's own."""
        return self.may.limits

    @property
    def cards(self) -> list[Card]:
        """Every card that is given whole; those that are expected back are not free."""
        return [card for node in self.nodes for card in (*node.cards, *node.away) if not card.slice]

    @property
    def slices(self) -> list[Card]:
        """Every slice of a card in MIG mode."""
        return [card for node in self.nodes for card in (*node.cards, *node.away) if card.slice]


def _offer(request: PersonRequest) -> Offer:
    floor = floor_load(users=(request.user,), now=timezone.now())
    images = images_offered(runtimes=runtimes(), user=request.user)
    return Offer(floor, floor.may[request.user.pk], images, sets=shelves_for(user=request.user))


def _starts(request: PersonRequest, offer: Offer) -> list[StartOffer]:
    """The templates, those of the person's own courses and teams first."""
    versions = list(templates_for(user=request.user))
    offers = offers_of(versions=versions, images=offer.images, limits=offer.limits, nodes=offer.nodes) if versions else []
    return sorted(offers, key=lambda one: one.template.group_id is None)


def _form(offer: Offer, data: Any) -> LaunchForm:
    profiles = sorted({card.slice for card in offer.slices})
    models = sorted({card.model for card in offer.cards})
    return LaunchForm(data, images=offer.images, models=models, slices=profiles, limits=offer.limits, sets=offer.sets)


def _initial(request: PersonRequest, offer: Offer) -> dict[str, Any]:
    """The address may carry a wish (from "Launch again"); what it leaves open is filled with usual sizes."""
    sizes = sizes_for(limits=offer.limits, nodes=offer.nodes)
    image = next(iter(offer.images), None)
    usual = {
        "image": image.pk if image else "",
        "gpus": 1 if offer.limits.gpus_max and offer.cards else 0,
        "gpu_model": "",
        "cpus": sizes.cpus,
        "memory_gib": sizes.memory_gib,
        "shm_gib": "",
        "hours": sizes.hours,
        "name": _unused_name(request, request.GET.get("name", "")),
        "key": secrets.token_urlsafe(16),
        "datasets": request.GET.getlist("datasets"),
    }
    asked = ("image", "gpus", "gpu_model", "cpus", "memory_gib", "shm_gib", "hours")
    return usual | _initial_of_template(request, offer) | {name: request.GET[name] for name in asked if request.GET.get(name)}


def _initial_of_template(request: PersonRequest, offer: Offer) -> dict[str, Any]:
    """What the template that the address names would take."""
    chosen = next((one for one in offer.starts if one.template.slug == request.GET.get("template")), None)
    if chosen is None or chosen.image is None:
        return {}
    sizes = {name: getattr(chosen.sizes, name) for name in ("gpus", "cpus", "memory_gib", "hours")}
    reads = [*data_of_template(version=chosen.version, shelves=offer.sets), *request.GET.getlist("datasets")]
    return sizes | {"image": chosen.image.pk, "shm_gib": chosen.sizes.shm_gib or "", "template": chosen.template.slug, "datasets": reads}


def _unused_name(request: PersonRequest, name: str) -> str:
    taken = labs_of(user=request.user, live=True).filter(name=name).exists()
    return "" if taken else name


def _page(request: PersonRequest, form: LaunchForm, offer: Offer, *, status: int = 200) -> HttpResponse:
    everywhere = Counter(card.model for card in offer.cards)
    free = Counter(card.model for card in offer.cards if card.free)
    limits, nodes = offer.limits, offer.nodes
    progress = _image_words()
    context = _verdict(request, form, offer) | {
        "models": [(model, free[model], count) for model, count in sorted(everywhere.items())],
        "free": sum(free.values()),
        "slices": _slices(offer),
        "starts": offer.starts,
        "beginning": _title(offer, form["template"].value()),
        "start_key": secrets.token_urlsafe(16),
        "sets": sets_shown(sets=offer.sets, ticked=form["datasets"].value() or (), nodes=nodes),
        "images": [(image, *progress.get(image.pk, ABSENT)) for image in offer.images],
        "most_cpus": min(limits.cpus, max((node.cpus for node in nodes), default=limits.cpus)),
        "most_memory": min(limits.memory_gib, max((node.memory_mib // 1024 for node in nodes), default=limits.memory_gib)),
    }
    return render(request, "launch/launch.html", context, status=status)


def _title(offer: Offer, slug: str) -> str:
    """What the template is called; its name in addresses where it is not at hand."""
    return next((one.template.title for one in offer.starts if one.template.slug == slug), slug)


def _slices(offer: Offer) -> list[tuple[str, str, int, int]]:
    """(value, words, free, all) of each kind of slice."""
    kinds: dict[tuple[str, str, int], list[bool]] = {}
    for card in offer.slices:
        kinds.setdefault((card.slice, card.model, card.memory_mib // 1024), []).append(card.free)
    return [(f"{SLICE}{profile}", f"Slice {profile} of {model}, {gib} GiB", sum(free), len(free)) for (profile, model, gib), free in sorted(kinds.items())]


def _image_words() -> dict[int, tuple[str, str]]:
    """State and words of each image, where it is furthest."""
    best: dict[int, NodeImage] = {}
    for row in image_progress():
        known = best.get(row.image_id)
        if known is None or NEARNESS.index(row.state) < NEARNESS.index(known.state):
            best[row.image_id] = row
    return {pk: (row.state, f"{row.percent}%" if row.state == NodeImage.State.PULLING else row.get_state_display()) for pk, row in best.items()}


def _verdict(request: PersonRequest, form: LaunchForm, offer: Offer) -> dict[str, Any]:
    """The form with what the rules and the plan say to it; without a verdict while it is not a wish yet."""
    if not form.is_valid():
        return {"form": form, "preview": None, "bars": bars(held=offer.may.held, limits=offer.limits, shares=offer.may.shares)}
    now = timezone.now()
    preview = wish_preview(user=request.user, wish=form.wish, now=now, floor=offer.floor)
    wish = preview.wish
    taken = bars(held=preview.held, limits=preview.limits, shares=preview.shares, gpus=wish.gpus, cpus=wish.cpus, memory_gib=wish.memory_gib, labs=1)
    return {"form": form, "preview": preview, "bars": taken, "score": estimates_score(now=now) if preview.estimate else None}
