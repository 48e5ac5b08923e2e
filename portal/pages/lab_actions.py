"""What can be done to a lab from its page: each a POST, one service, back to the page."""

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from labs.idleness.services import lab_keep as keep
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner, lab_for_viewer
from labs.lifecycle.services import (
    lab_again as again,
)
from labs.lifecycle.services import (
    lab_extend as extend,
)
from labs.lifecycle.services import (
    lab_stop as stop,
)
from labs.lifecycle.services import (
    lab_take_gpu as take_gpu,
)
from labs.lifecycle.services import (
    lab_take_gpu_cancel as take_gpu_cancel,
)
from labs.lifecycle.services import (
    lab_token_create as token_create,
)
from labs.lifecycle.services import (
    lab_token_revoke as token_revoke,
)
from labs.lifecycle.sickness import lab_restart_in_place as restart_in_place
from labs.people.errors import Refused
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.lab import ExtendForm, KeepForm, LabTokenForm, StopForm, TakeGpuForm
from portal.pages.lab import SECRET
from portal.pages.lab_end import fix_for
from portal.pages.telling import first_error, try_or_tell
from portal.pages.templatetags.queue import clock_words


@require_POST
@person_required
def lab_stop(request: PersonRequest, lab_id: str) -> HttpResponse:
    """End a lab; files stay. An administrator may end anybody's, with a reason."""
    lab = lab_for_viewer(user=request.user, lab_id=lab_id)
    form = StopForm(request.POST)
    words = form.cleaned_data["words"] if form.is_valid() and lab.owner_id != request.user.pk else ""
    if stop(lab=lab, actor=request.user, now=timezone.now(), words=words):
        messages.success(request, f"{lab.name} is being stopped. Its files stay.")
    else:
        messages.info(request, f"{lab.name} was ending already.")
    return redirect("lab", lab_id=lab_id)


@require_POST
@person_required
def lab_again(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Run an ended job once more, with what its end says was missing."""
    lab, now = lab_for_owner(user=request.user, lab_id=lab_id), timezone.now()
    if lab.is_live or not lab.is_job:
        messages.error(request, "Only a job that has ended is run again from here.")
        return redirect("lab", lab_id=lab_id)
    try:
        made = again(lab=lab, actor=request.user, now=now, fix=fix_for(lab=lab, now=now))
    except Refused as refused:
        messages.error(request, refused.words)
        return redirect("lab", lab_id=lab_id)
    return redirect("lab", lab_id=made.pk)


@require_POST
@person_required
def lab_keep(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Let it run for some hours though nobody uses it."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = KeepForm(request.POST)

    def act() -> str:
        until = keep(lab=lab, hours=form.cleaned_data["hours"], actor=request.user, now=timezone.now())
        return f"{lab.name} is kept until {clock_words(until, timezone.now())}, used or not."

    return _act(request, lab, form, act)


@require_POST
@person_required
def lab_extend(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Run longer."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = ExtendForm(request.POST)

    def act() -> str:
        extend(lab=lab, hours=form.cleaned_data["hours"], actor=request.user, now=timezone.now())
        return f"{lab.name} runs longer now."

    return _act(request, lab, form, act)


@require_POST
@person_required
def lab_take_gpu(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Queue a restart with GPUs."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = TakeGpuForm(request.POST)

    def act() -> str:
        take_gpu(lab=lab, gpus=form.cleaned_data["gpus"], gpu_model=form.cleaned_data["gpu_model"], actor=request.user, now=timezone.now())
        return f"{lab.name} restarts with a GPU as soon as one is free. Save your work."

    return _act(request, lab, form, act)


@require_POST
@person_required
def lab_take_gpu_cancel(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Keep the lab as it is."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    if take_gpu_cancel(lab=lab, actor=request.user, now=timezone.now()):
        messages.success(request, f"{lab.name} stays as it is.")
    else:
        messages.warning(request, "The restart has begun already.")
    return redirect("lab", lab_id=lab_id)


@require_POST
@person_required
def lab_restart_in_place(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Restart a lab that lost its GPU, on the same one."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    done = f"{lab.name} restarts on the same GPU."
    try_or_tell(request, lambda: restart_in_place(lab=lab, actor=request.user, now=timezone.now()), done=done)
    return redirect("lab", lab_id=lab_id)


@require_POST
@person_required
def lab_tokens(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Make a token; its secret is shown once, on the page that follows."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = LabTokenForm(request.POST)

    def act() -> str:
        token, secret = token_create(lab=lab, name=form.cleaned_data["name"], actor=request.user, now=timezone.now())
        request.session[SECRET] = secret
        return f"Token {token.name} made."

    return _act(request, lab, form, act, part="#access")


@require_POST
@person_required
def lab_token_revoke(request: PersonRequest, lab_id: str, token_id: int) -> HttpResponse:
    """Revoke a token; links that it opened are cut."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    token_revoke(lab=lab, token_id=token_id, actor=request.user, now=timezone.now())
    messages.success(request, "The token was revoked.")
    return _back(lab, "#access")


def _act(request: PersonRequest, lab: Lab, form: forms.Form, act: Callable[[], str], *, part: str = "") -> HttpResponse:
    """Run `act` on a valid form and say what came of it; a refusal is told in its own words."""
    if not form.is_valid():
        messages.error(request, first_error(form))
        return _back(lab, part)
    try:
        messages.success(request, act())
    except Refused as refused:
        messages.error(request, refused.words)
    return _back(lab, part)


def _back(lab: Lab, part: str) -> HttpResponse:
    response = redirect("lab", lab_id=lab.pk)
    response["Location"] += part
    return response
