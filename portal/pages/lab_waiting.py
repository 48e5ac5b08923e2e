"""What a person does about a lab that waits: look what would start it sooner and do it, be asked first, take what is held."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.lifecycle.claims import lab_ask_first_set, lab_claim
from labs.lifecycle.levers import lab_lever_pull
from labs.lifecycle.queries import lab_for_owner, lab_for_viewer
from labs.lifecycle.queueing import levers_of
from labs.people.errors import Refused
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.queue import AskFirstForm, LeverForm
from portal.pages.telling import first_error, try_or_tell


@require_safe
@person_required
def lab_levers(request: PersonRequest, lab_id: str) -> HttpResponse:
    """What would start it sooner; a part of the lab's page that is asked for again now and then."""
    lab = lab_for_viewer(user=request.user, lab_id=lab_id)
    context = {"lab": lab, "mine": lab.owner_id == request.user.pk, "levers": levers_of(lab=lab, now=timezone.now()) if lab.waits else ()}
    return render(request, "lab/_levers.html", context)


@require_POST
@person_required
def lab_lever(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Change the waiting lab as a lever says."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = LeverForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
        return redirect("lab", lab_id=lab_id)
    try:
        lever = lab_lever_pull(lab=lab, code=form.cleaned_data["code"], actor=request.user, now=timezone.now())
    except Refused as refused:
        messages.error(request, refused.words)
    else:
        messages.success(request, f"{lab.name}: {lever.words}. Its place, its name and its files are the same.")
    return redirect("lab", lab_id=lab_id)


@require_POST
@person_required
def lab_ask_first(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Be asked when its turn comes, or not."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = AskFirstForm(request.POST)
    ask = form.is_valid() and form.cleaned_data["ask_first"]
    done = f"You are told when {lab.name} can start, and have 10 minutes to take it." if ask else f"{lab.name} starts by itself."
    try_or_tell(request, lambda: lab_ask_first_set(lab=lab, ask_first=ask, actor=request.user, now=timezone.now()), done=done)
    return redirect("lab", lab_id=lab_id)


@require_POST
@person_required
def lab_take(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Take what is held for it: it starts."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    try_or_tell(request, lambda: lab_claim(lab=lab, actor=request.user, now=timezone.now()), done=f"{lab.name} is starting.")
    return redirect("lab", lab_id=lab_id)
