"""One image, for administrators: what is in it, who may use it, trying it on cards, making it anew."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.catalogue.models import Image
from labs.catalogue.queries import image_by_id
from labs.catalogue.services import image_renew, image_rules_set, image_scan_take
from labs.fleet.bringing import image_cancel
from labs.fleet.services import image_bring
from labs.trials.queries import cards_to_try
from labs.trials.services import qualification_begin
from portal.pages.access import PersonRequest, administrator_required
from portal.pages.forms.images import RulesForm, ScanForm
from portal.pages.images import image_rows, matrix
from portal.pages.telling import try_form, try_or_tell


@require_http_methods(["GET", "HEAD", "POST"])
@administrator_required
def manage_image(request: PersonRequest, image_id: int) -> HttpResponse:
    """The page; posted, its rules."""
    image = image_by_id(image_id=image_id)
    form = RulesForm(request.POST or None, initial=_rules(image))
    if request.method == "POST" and try_form(form, lambda: image_rules_set(image=image, **form.cleaned_data, actor=request.user, now=timezone.now())):
        messages.success(request, f"{image}: saved.")
        return redirect("manage_image", image_id)
    return _page(request, image, form, ScanForm(), status=422 if form.is_bound else 200)


def _rules(image: Image) -> dict[str, object]:
    return {"roles": image.roles, "groups": image.groups.all(), "deprecated_on": image.deprecated_on, "keeping": image.keeping}


def _page(request: PersonRequest, image: Image, form: RulesForm, scan: ScanForm, *, status: int) -> HttpResponse:
    cards = cards_to_try() if image.runtime == Image.Runtime.DOCKER else []
    cells = next((cells for _, cells in matrix([image], cards)), [])
    context = {"row": image_rows([image])[0], "image": image, "form": form, "scan": scan, "cards": cards, "cells": cells}
    return render(request, "manage/image.html", context, status=status)


@require_POST
@administrator_required
def manage_image_try(request: PersonRequest, image_id: int) -> HttpResponse:
    """Try it on a kind of card."""
    image, card = image_by_id(image_id=image_id), request.POST.get("card", "")
    done = f"{image} is tried on {card}: a lab of yours waits for its turn, and ends by itself."
    try_or_tell(request, lambda: qualification_begin(image=image, card=card, actor=request.user, now=timezone.now()), done=done)
    return redirect("manage_image", image_id)


@require_POST
@administrator_required
def manage_image_cancel(request: PersonRequest, image_id: int) -> HttpResponse:
    """Let the nodes stop preparing it."""
    count = image_cancel(image=image_by_id(image_id=image_id), actor=request.user, now=timezone.now())
    messages.success(request, "Cancelled: the nodes let go of it within a second." if count else "No node is preparing it any more.")
    return redirect("manage_images")


@require_POST
@administrator_required
def manage_image_renew(request: PersonRequest, image_id: int) -> HttpResponse:
    """Make it anew: another image, with what is current now."""
    image, made = image_by_id(image_id=image_id), []
    now = timezone.now()
    done = "A new image is being prepared; try it out, offer it, then retire the old one."
    if not try_or_tell(request, lambda: made.append(image_renew(image=image, actor=request.user, now=now)), done=done):
        return redirect("manage_image", image_id)
    image_bring(image=made[0], actor=request.user, now=now)
    return redirect("manage_image", made[0].pk)


@require_POST
@administrator_required
def manage_image_scan(request: PersonRequest, image_id: int) -> HttpResponse:
    """Take a scanner's report."""
    image, form = image_by_id(image_id=image_id), ScanForm(request.POST, request.FILES)
    if try_form(form, lambda: image_scan_take(image=image, report=form.cleaned_data["report"], actor=request.user, now=timezone.now())):
        messages.success(request, f"{image}: the report is taken.")
        return redirect("manage_image", image_id)
    return _page(request, image, RulesForm(initial=_rules(image)), form, status=422)
