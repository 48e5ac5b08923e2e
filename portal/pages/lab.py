"""One lab's page: what it does now, how to reach it, its limits, what happened, its log."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labs.fleet.models import NodeImage
from labs.fleet.queries import gpu_models, node_images
from labs.idleness.queries import idle_clock
from labs.lifecycle import states
from labs.lifecycle.addresses import client_url, ssh_command
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import gpus_of, lab_for_viewer, timeline_of, tokens_of
from labs.lifecycle.queueing import estimates_score, levers_of, wait_of
from labs.lifecycle.reclaims import reclaim_of
from labs.lifecycle.services import lab_log_ask
from labs.lifecycle.waiting import snapshot_load
from labs.policy.queries import limits_of
from labs.scheduler.snapshot import Snapshot
from labs.starters.queries import start_of
from labs.storage.queries import disk_near
from portal.pages.access import PersonRequest, person_required
from portal.pages.lab_apps import apps_context
from portal.pages.lab_end import end_card
from portal.pages.use import use_of

#: The steps of a start: the stage that completes each, and its words.
STEPS = (("placed", "Placed on a node"), ("container", "Container"), ("jupyter", "Limits checked"), ("ready", "Jupyter"))
STAGES = ("", "placed", "container", "jupyter", "ready")
SECRET = "lab_token_secret"


@require_safe
@person_required
def lab(request: PersonRequest, lab_id: str) -> HttpResponse:
    """The whole page."""
    row = lab_for_viewer(user=request.user, lab_id=lab_id)
    lab_log_ask(lab=row)
    mine = row.owner_id == request.user.pk
    now = timezone.now()
    snapshot = snapshot_load(now=now) if row.waits else None
    context = _state_context(request, row, snapshot) | {
        "tokens": tokens_of(lab=row) if mine else [],
        "secret": request.session.pop(SECRET, None) if mine else None,
        "models": gpu_models(),
        "levers": levers_of(lab=row, now=now, snapshot=snapshot) if mine else (),
        "client_url": client_url(row.pk),
        "timeline": timeline_of(lab=row),
        "use": use_of(lab_id=row.pk, now=now) if row.state == states.RUNNING else None,
    }
    if mine and row.state == states.RUNNING:
        context |= apps_context(lab=row, user=request.user, now=now)
    return render(request, "lab/lab.html", context)


@require_safe
@person_required
def lab_state(request: PersonRequest, lab_id: str) -> HttpResponse:
    """The part on top that moves: state, steps, notices, the end card. A new state changes every part, so it loads the page anew."""
    row = lab_for_viewer(user=request.user, lab_id=lab_id)
    if row.state != request.GET.get("was", row.state):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "lab/_state.html", _state_context(request, row))


@require_safe
@person_required
def lab_history(request: PersonRequest, lab_id: str) -> HttpResponse:
    """Timeline and log, which grow. Looking asks the node for the newest lines; they come with the next message."""
    row = lab_for_viewer(user=request.user, lab_id=lab_id)
    lab_log_ask(lab=row)
    return render(request, "lab/_history.html", {"lab": row, "timeline": timeline_of(lab=row)})


def _state_context(request: PersonRequest, row: Lab, snapshot: Snapshot | None = None) -> dict[str, Any]:
    now = timezone.now()
    limits = limits_of(user=row.owner, now=now)
    return {
        "lab": row,
        "mine": row.owner_id == request.user.pk,
        "wait": wait_of(lab=row, now=now, snapshot=snapshot) if row.waits else None,
        "score": estimates_score(now=now) if row.waits else None,
        "steps": _steps(row) if row.state == states.STARTING else [],
        "image_progress": _image_progress(row) if row.state in (states.QUEUED, states.STARTING) else None,
        "start": start_of(lab=row),
        "cards": gpus_of(lab=row) if row.gpus else [],
        "hours_max": limits.hours_max,
        "guarantee": limits.gpus if limits.gpus_max > limits.gpus else None,
        "ssh_command": ssh_command(row.name),
        "reclaim": reclaim_of(lab=row) if row.state == states.RUNNING else None,
        "disk": disk_near(user_id=row.owner_id, limit_gib=limits.disk_gib) if row.state == states.RUNNING else None,
        "disk_gib": limits.disk_gib,
        "idle": idle_clock(lab=row, now=now) if row.state == states.RUNNING else None,
        "card": None if row.is_live else end_card(lab=row, now=now),
    }


def _steps(row: Lab) -> list[tuple[str, str]]:
    """(done | at | ahead, words) of each step."""
    reached = STAGES.index(row.stage) if row.stage in STAGES else 0
    return [("done" if place < reached else "at" if place == reached else "ahead", words) for place, (_, words) in enumerate(STEPS)]


def _image_progress(row: Lab) -> NodeImage | None:
    """How far the image is where the lab is or may come to be, while it is not ready."""
    if row.node_id:
        found = [one for one in node_images(node_id=row.node_id) if one.image_id == row.image_id]
    else:
        found = list(NodeImage.objects.filter(image_id=row.image_id).order_by("-percent"))
    return found[0] if found and found[0].state != NodeImage.State.PRESENT else None
