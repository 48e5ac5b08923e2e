"""Jobs: run a program now, by the clock or when another program calls; what ran, and how it ended."""

import secrets
import shlex
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.catalogue.queries import images_offered
from labs.fleet.queries import runtimes
from labs.jobs.models import Trigger
from labs.jobs.queries import jobs_of, trigger_for_owner, triggers_of
from labs.jobs.services import schedule_preview, trigger_create, trigger_fire, trigger_pause, trigger_remove
from labs.lifecycle.services import lab_request
from labs.lifecycle.wishes import Wish
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.jobs import CLOCKS, NOW, AgainForm, JobForm
from portal.pages.telling import first_error, try_form, try_or_tell

MOST_SHOWN = 30
SECRET = "job_secret"


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def jobs(request: PersonRequest) -> HttpResponse:
    """The list and the form; posted, the job runs or is kept."""
    key = secrets.token_urlsafe(16)
    form = JobForm(request.POST or None, images=images_offered(runtimes=runtimes() or None, user=request.user), initial={"key": key})
    runs: list[datetime] = []
    if "preview" in request.POST:
        runs = _preview(form)
    elif request.method == "POST" and try_form(form, lambda: _keep(request, form)):
        return redirect("jobs")
    secret = request.session.pop(SECRET, None)
    context = {
        "form": form,
        "next_runs": runs,
        "zone": timezone.get_default_timezone_name(),
        "key": key,
        "runs": jobs_of(user=request.user)[:MOST_SHOWN],
        "triggers": triggers_of(user=request.user),
        "secret": secret,
        "call": f"curl -X POST -H 'Authorization: Bearer {secret}' {settings.PORTAL_URL}/api/v1/jobs/call" if secret else "",
    }
    return render(request, "jobs/jobs.html", context, status=422 if form.is_bound and not form.is_valid() else 200)


@require_POST
@person_required
def job_pause(request: PersonRequest, trigger_id: int) -> HttpResponse:
    """Pause it, or go on."""
    row = trigger_for_owner(user=request.user, trigger_id=trigger_id)
    trigger_pause(trigger=row, paused=request.POST.get("paused") == "yes", now=timezone.now())
    messages.success(request, f"{row} is {'paused' if row.paused else 'started again'}.")
    return redirect("jobs")


@require_POST
@person_required
def job_run(request: PersonRequest, trigger_id: int) -> HttpResponse:
    """Run it once more, now."""
    row, form = trigger_for_owner(user=request.user, trigger_id=trigger_id), AgainForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
    elif lab := trigger_fire(trigger=row, key=f"click-{form.cleaned_data['key']}", now=timezone.now()):
        return redirect("lab", lab_id=lab.pk)
    else:
        row.refresh_from_db()
        messages.error(request, row.last_words)
    return redirect("jobs")


@require_POST
@person_required
def job_remove(request: PersonRequest, trigger_id: int) -> HttpResponse:
    """Forget it; its runs stay."""
    row = trigger_for_owner(user=request.user, trigger_id=trigger_id)
    try_or_tell(request, lambda: trigger_remove(trigger=row, now=timezone.now()), done=f"{row} was removed. What it has run stays.")
    return redirect("jobs")


def _preview(form: JobForm) -> list[datetime]:
    """When what was chosen would run; what is wrong with it is beside its field."""
    found: list[datetime] = []
    form.only_clock()
    try_form(form, lambda: found.extend(schedule_preview(cron=form.schedule, now=timezone.now())))
    return found


def _keep(request: PersonRequest, form: JobForm) -> None:
    data, now = form.cleaned_data, timezone.now()
    sizes: dict[str, Any] = {name: data[name] for name in ("gpus", "cpus", "memory_gib", "hours", "folder")}
    wish = Wish(image_id=data["image"].pk, command=tuple(shlex.split(data["command"])), **sizes)
    if data["start"] == NOW:
        lab = lab_request(owner=request.user, wish=wish, now=now, actor=request.user, idempotency_key=data["key"])
        messages.success(request, f"{lab.name} is queued. It runs as soon as there is room, and ends by itself.")
        return
    kind = Trigger.Kind.SCHEDULE if data["start"] in CLOCKS else data["start"]
    made, request_secret = trigger_create(owner=request.user, name=data["name"], wish=wish, kind=kind, cron=form.schedule, watch=data["watch"], now=now)
    if made.kind == Trigger.Kind.CALL:
        request.session[SECRET] = request_secret
    messages.success(request, f"{made} is started {made.when_words}.")
