"""Images of one's own: saved from a lab, built from a list of packages; shared, deleted; how far one is."""

from django.contrib import messages
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labs.catalogue.models import Image
from labs.catalogue.queries import images_made_by, images_offered
from labs.lifecycle.queries import lab_for_owner
from labs.making.models import Making
from labs.making.queries import image_for_maker, making_for_owner, makings_of, place_of, room_of, teams_of
from labs.making.services import image_delete, image_share, making_build, making_cancel, making_save
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.images_own import BuildForm, NamedForm, TeamsForm
from portal.pages.telling import first_error, try_form, try_or_tell

MOST_SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def images_own(request: PersonRequest) -> HttpResponse:
    """The list, what is under way, and the form; posted, one is built."""
    bases = images_offered(runtimes={Image.Runtime.DOCKER}, user=request.user).exclude(digest="").order_by(F("made_by").asc(nulls_first=True), "title")
    form = BuildForm(request.POST or None, images=bases)
    made: list[Making] = []
    if request.method == "POST" and try_form(form, lambda: made.append(making_build(**form.cleaned_data, actor=request.user, now=timezone.now()))):
        return redirect("making", made[0].pk)
    context = {
        "form": form,
        "images": images_made_by(user=request.user),
        "makings": [row for row in makings_of(user=request.user)[:MOST_SHOWN] if row.state != Making.State.DONE],
        "room": room_of(user=request.user),
        "teams": teams_of(user=request.user),
        "buildable": bases.exists(),
    }
    return render(request, "images/own.html", context, status=422 if form.is_bound else 200)


@require_POST
@person_required
def lab_save(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Save a lab as an image."""
    lab, form, made = lab_for_owner(user=request.user, lab_id=lab_id), NamedForm(request.POST), []
    if not form.is_valid():
        messages.error(request, first_error(form))
    elif try_or_tell(
        request,
        lambda: made.append(making_save(lab=lab, **form.cleaned_data, actor=request.user, now=timezone.now())),
        done=f"{lab.name} is being saved. You can go on working in it.",
    ):
        return redirect("making", made[0].pk)
    response = redirect("lab", lab_id=lab.pk)
    response["Location"] += "#save"
    return response


@require_safe
@person_required
def making(request: PersonRequest, making_id: str) -> HttpResponse:
    """One in the making."""
    return _shown(request, "images/making.html", making_id)


@require_safe
@person_required
def making_state(request: PersonRequest, making_id: str) -> HttpResponse:
    """The part of it that moves."""
    return _shown(request, "images/_making.html", making_id)


def _shown(request: PersonRequest, template: str, making_id: str) -> HttpResponse:
    row = making_for_owner(user=request.user, making_id=making_id)
    return render(request, template, {"making": row, "before": place_of(making=row)})


@require_POST
@person_required
def making_stop(request: PersonRequest, making_id: str) -> HttpResponse:
    """Cancel it."""
    row = making_for_owner(user=request.user, making_id=making_id)
    if making_cancel(making=row, actor=request.user, now=timezone.now()):
        messages.success(request, f"{row} is made no further.")
    else:
        messages.info(request, f"{row} had come to its end.")
    return redirect("making", row.pk)


@require_POST
@person_required
def image_teams(request: PersonRequest, own_id: int) -> HttpResponse:
    """Share it with teams of one's own, or with nobody."""
    image = image_for_maker(user=request.user, image_id=own_id)
    form = TeamsForm(request.POST, user=image.made_by or request.user)
    if form.is_valid():
        groups = list(form.cleaned_data["groups"])
        done = f"{image} is shared with {', '.join(map(str, groups))}." if groups else f"{image} is yours alone."
        try_or_tell(request, lambda: image_share(image=image, groups=groups, actor=request.user, now=timezone.now()), done=done)
    else:
        messages.error(request, first_error(form))
    return redirect("images_own")


@require_POST
@person_required
def image_remove(request: PersonRequest, own_id: int) -> HttpResponse:
    """Delete it."""
    image = image_for_maker(user=request.user, image_id=own_id)
    try_or_tell(request, lambda: image_delete(image=image, actor=request.user, now=timezone.now()), done=f"{image} is deleted.")
    return redirect("images_own")
