"""A lab's apps on its page: TensorBoard, VS Code, any other port; and with whom they are shared."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.lifecycle.addresses import origins_are_apart
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner
from labs.people.models import User
from labs.sharing.queries import apps_of, shares_of, teams_of
from labs.sharing.rules import SPANS, TOOLS
from labs.sharing.services import app_start, app_stop, share_create, share_withdraw
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.apps import AppForm, ShareForm
from portal.pages.telling import first_error, try_or_tell


def apps_context(*, lab: Lab, user: User, now: datetime) -> dict[str, Any]:
    """What the section shows of one's own running lab."""
    return moving_context(lab=lab, now=now) | {"apart": origins_are_apart(), "tools": TOOLS.values(), "teams": teams_of(user=user), "spans": SPANS}


def moving_context(*, lab: Lab, now: datetime) -> dict[str, Any]:
    """The part of it that moves."""
    return {"lab": lab, "apps": apps_of(lab=lab), "shares": shares_of(lab=lab, now=now)}


@require_safe
@person_required
def lab_apps(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Apps and shares, which change."""
    return render(request, "lab/_apps_moving.html", moving_context(lab=lab_for_owner(user=request.user, lab_id=lab_id), now=timezone.now()))


@require_POST
@person_required
def lab_app_start(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Start a tool."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = AppForm(request.POST)
    if form.is_valid():
        title = TOOLS[form.cleaned_data["tool"]].title
        try_or_tell(request, lambda: app_start(lab=lab, actor=request.user, now=timezone.now(), **form.cleaned_data), done=f"{title} is being started.")
    else:
        messages.error(request, first_error(form))
    return _back(lab)


@require_POST
@person_required
def lab_app_stop(request: PersonRequest, lab_id: str) -> HttpResponse:
    """End a tool."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    if app_stop(lab=lab, tool=request.POST.get("tool", ""), actor=request.user, now=timezone.now()):
        messages.success(request, "It is being stopped.")
    else:
        messages.info(request, "It had ended already.")
    return _back(lab)


@require_POST
@person_required
def lab_share(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Share a port."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    form = ShareForm(request.POST, user=request.user)
    if form.is_valid():
        done = "It is shared. They find it on their Home under Shared with me."
        try_or_tell(request, lambda: share_create(lab=lab, actor=request.user, now=timezone.now(), **form.cleaned_data), done=done)
    else:
        messages.error(request, first_error(form))
    return _back(lab)


@require_POST
@person_required
def lab_share_withdraw(request: PersonRequest, lab_id: str, share_id: int) -> HttpResponse:
    """Withdraw a share; its guests are cut off."""
    lab = lab_for_owner(user=request.user, lab_id=lab_id)
    share_withdraw(lab=lab, share_id=share_id, actor=request.user, now=timezone.now())
    messages.success(request, "It is no longer shared.")
    return _back(lab)


def _back(lab: Lab) -> HttpResponse:
    response = redirect("lab", lab_id=lab.pk)
    response["Location"] += "#apps"
    return response
