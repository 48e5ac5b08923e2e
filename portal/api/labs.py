"""Labs: launch, list, look, stop, extend, keep, restart. The same services as the pages."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja import Header, Query, Router
from ninja.responses import Status

from labs.idleness.queries import idle_clock
from labs.idleness.services import lab_keep
from labs.lifecycle import states
from labs.lifecycle.addresses import client_url, ssh_command
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner, lab_for_viewer, labs_all, labs_of
from labs.lifecycle.queueing import QueueEntry, levers_of, queue_view, wait_of
from labs.lifecycle.services import lab_extend, lab_request, lab_stop
from labs.lifecycle.sickness import lab_restart_in_place
from labs.lifecycle.waiting import snapshot_load
from labs.lifecycle.wishes import Wish
from labs.people.errors import Refused
from labs.starters.queries import start_of
from labs.starters.services import template_start
from labs.usage.queries import efficiency_for
from portal.api import schemas
from portal.api.auth import caller, is_admin, may_administer, may_launch
from portal.api.pagination import Cursor, Limit, page

router = Router(tags=["labs"])
Key = Annotated[
    str | None,
    Header(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=80,
        pattern=r"^[!-~]*$",
        description="A key of yours, such as a UUID: the same key makes one lab, however often the request is sent.",
    ),
]


@router.post("/labs", response={201: schemas.Lab, 200: schemas.Lab}, summary="Launch a lab")
def lab_create(request: HttpRequest, wish: schemas.LabWish, idempotency_key: Key) -> Status[Any]:
    """201 with the new lab; 200 with the lab that this Idempotency-Key has made before."""
    may_launch(request)
    now = timezone.now()
    data = None if wish.datasets is None else tuple(dict.fromkeys(wish.datasets))
    asked = Wish(image_id=wish.image, command=tuple(wish.command), data=data, **wish.model_dump(exclude={"image", "command", "template", "datasets"}))
    begin = partial(template_start, slug=wish.template) if wish.template else lab_request
    lab = begin(owner=caller(request), wish=asked, now=now, actor=caller(request), idempotency_key=idempotency_key or "")
    is_new = lab.requested_at == now
    if not is_new:
        _same_wish(lab, asked, wish.template)
    return Status(201 if is_new else 200, lab_shown(lab))


@router.get("/labs", response=schemas.LabPage, summary="List labs")
def lab_list(
    request: HttpRequest,
    cursor: Cursor,
    limit: Limit,
    live: Annotated[bool | None, Query(default=None, description="Only labs that have not ended, or only those that have.")],
    everyone: Annotated[bool, Query(default=False, description="Everybody's, with an administrator's token of scope admin.")],
) -> Any:
    """One's own labs, newest first."""
    if everyone:
        may_administer(request)
    rows = labs_all(live=live) if everyone else labs_of(user=caller(request), live=live)
    rows = rows.prefetch_related("leases__gpu", "reclaims")
    waits = (
        {entry.lab.pk: entry for entry in queue_view(now=timezone.now())} if rows.filter(Q(state=states.QUEUED) | Q(next_gpus__isnull=False)).exists() else {}
    )
    return page(request, rows, order=("-requested_at", "-pk"), cursor=cursor, limit=limit, show=lambda lab: lab_view(lab, waits.get(lab.pk)))


@router.get("/labs/{slug:lab_id}", response=schemas.Lab, summary="Look at a lab")
def lab_detail(request: HttpRequest, lab_id: str) -> Any:
    """404 for a lab that is not yours."""
    return lab_shown(lab_reached(request, lab_id))


@router.post("/labs/{slug:lab_id}/stop", response=schemas.Lab, summary="Stop a lab")
def lab_end(request: HttpRequest, lab_id: str) -> Any:
    """Begin the end of a lab; its files stay. Stopping a lab that is ending or has ended changes nothing."""
    may_launch(request)
    lab = lab_reached(request, lab_id)
    lab_stop(lab=lab, actor=caller(request), now=timezone.now())
    return lab_shown(lab_reached(request, lab_id))


@router.post("/labs/{slug:lab_id}/extend", response=schemas.Lab, summary="Extend a lab")
def lab_prolong(request: HttpRequest, lab_id: str, extension: schemas.Extension) -> Any:
    """Let a running lab go on until some hours from now, up to the hours of its owner's role."""
    may_launch(request)
    lab_extend(lab=lab_reached(request, lab_id), hours=extension.hours, actor=caller(request), now=timezone.now())
    return lab_shown(lab_reached(request, lab_id))


@router.post("/labs/{slug:lab_id}/keep", response=schemas.Lab, summary="Keep an idle lab")
def lab_kept(request: HttpRequest, lab_id: str, keeping: schemas.Keeping) -> Any:
    """Let your running lab go on for some hours though nobody uses it. The house allows it a few times."""
    may_launch(request)
    lab_keep(lab=lab_reached(request, lab_id), hours=keeping.hours, actor=caller(request), now=timezone.now())
    return lab_shown(lab_reached(request, lab_id))


@router.post("/labs/{slug:lab_id}/restart", response=schemas.Lab, summary="Restart a lab that lost its GPU")
def lab_again(request: HttpRequest, lab_id: str) -> Any:
    """Begin its next attempt on the same GPUs; only while it is `degraded`. Its files stay, programs in it end."""
    may_launch(request)
    lab_restart_in_place(lab=lab_reached(request, lab_id), actor=caller(request), now=timezone.now())
    return lab_shown(lab_reached(request, lab_id))


def lab_view(lab: Lab, wait: QueueEntry | None) -> dict[str, Any]:
    """The lab as the API shows it; `wait` is its entry in the queue, if it has one."""
    reasons = list(wait.reasons) if wait and lab.state == states.QUEUED else []
    return {
        "id": lab.pk,
        "name": lab.name,
        "owner": lab.owner.email,
        "state": lab.state,
        "reason": " ".join(reasons) or lab.reason,
        "reasons": reasons,
        "place": wait.place if reasons and wait else None,
        "waiting": _waiting(wait) if wait else None,
        "ask_first": lab.ask_first,
        "claim_until": lab.deadline_at if lab.state == states.OFFERED else None,
        "may_borrow": lab.may_borrow,
        "over_quota": lab.over_quota,
        "reclaim_at": next((one.ends_at for one in lab.reclaims.all() if one.closed_at is None), None),
        "requeue": lab.requeue,
        "stage": lab.stage_words,
        "degraded": lab.degraded,
        "idle": None,
        "image": lab.image,
        "limits": {
            "gpus": lab.gpus,
            "gpu_model": lab.gpu_model,
            "cpus": lab.cpus,
            "memory_gib": lab.memory_mib / 1024,
            "shm_gib": lab.shm_mib / 1024,
            "pids": lab.pids,
            "hours": lab.hours,
        },
        "gpus": sorted((lease.gpu for lease in lab.leases.all() if lease.closed_at is None and lease.attempt == lab.attempt), key=lambda gpu: gpu.index),
        "urls": {"page": f"{settings.PORTAL_URL}/labs/{lab.pk}/", "jupyter": client_url(lab.pk), "ssh": ssh_command(lab.name)},
        "command": lab.command,
        "folder": lab.folder,
        "output": lab.output_folder,
        "datasets": lab.data,
        "exit_code": lab.exit_code,
        "end": lab.reason_code,
        "attempt": lab.attempt,
        "node": lab.node_id,
        "requested_at": lab.requested_at,
        "started_at": lab.started_at,
        "ends_at": lab.ends_at,
        "ended_at": lab.ended_at,
        "efficiency": None,
    }


def lab_reached(request: HttpRequest, lab_id: str) -> Lab:
    """The caller's own lab, or any with a token that administers; 404 otherwise."""
    load = lab_for_viewer if is_admin(request) else lab_for_owner
    return load(user=caller(request), lab_id=lab_id)


def lab_shown(lab: Lab) -> dict[str, Any]:
    """One lab with everything that is known of it: its levers and its efficiency too, which lists leave out."""
    now = timezone.now()
    idle = {"idle": _idle(lab, now)}
    if not lab.waits:
        return lab_view(lab, None) | idle | {"efficiency": efficiency_for(lab=lab)}
    snapshot = snapshot_load(now=now)
    shown = lab_view(lab, wait_of(lab=lab, now=now, snapshot=snapshot)) | idle
    if shown["waiting"]:
        found = levers_of(lab=lab, now=now, snapshot=snapshot)
        shown["waiting"]["levers"] = [{"code": one.code, "words": one.words, "estimate": one.estimate} for one in found]
    return shown


def _idle(lab: Lab, now: datetime) -> dict[str, Any] | None:
    clock = idle_clock(lab=lab, now=now) if lab.state == states.RUNNING else None
    if clock is None:
        return None
    row = clock.row
    return {"used_at": row.used_at, "stops_at": clock.stops_at, "warned": clock.urgent, "kept_until": row.keep_until, "keeps_left": clock.keeps_left}


def _waiting(wait: QueueEntry) -> dict[str, Any]:
    moved = wait.move.reason if wait.move else None
    return {"place": wait.place, "reasons": list(wait.reasons), "estimate": wait.estimate, "moved": moved, "levers": None}


def _same_wish(lab: Lab, asked: Wish, template: str) -> None:
    """A key that comes back with another wish is a mistake of the client's, better told than hidden."""
    then = (lab.image_id, lab.cpus, lab.memory_mib, lab.hours)
    differs = then != (asked.image_id, asked.cpus, asked.memory_gib * 1024, asked.hours) or asked.name not in ("", lab.name)
    differs |= (list(asked.command), asked.folder) != (lab.command, lab.folder)
    differs |= asked.shm_gib not in (None, lab.shm_mib // 1024)
    differs |= asked.data is not None and list(asked.data) != lab.data
    start = start_of(lab=lab)
    differs |= template != (start.version.template.slug if start else "")
    model = asked.gpu_model if asked.gpus else ""
    if differs or (lab.attempt == 1 and (lab.gpus, lab.gpu_model) != (asked.gpus, model)):
        raise Refused(f"This Idempotency-Key has made the lab {lab.name} ({lab.pk}), which differs from this wish.", field="Idempotency-Key", code="key_reused")
