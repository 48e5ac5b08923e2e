"""The caller: limits, what is held, what is left, and asking for more."""

from datetime import date, datetime, time
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router
from ninja.responses import Status

from labs.lifecycle.allowances import allowance_of
from labs.people.errors import Refused
from labs.policy.asking import request_create, request_withdraw
from labs.policy.models import QuotaRequest
from labs.policy.queries import requests_of
from labs.policy.rules import Held, Limits, Share
from labs.storage.models import WorkspaceUse
from labs.storage.queries import workspaces_of
from labs.storage.services import workspace_measure_ask
from portal.api import schemas_me as schemas
from portal.api.auth import caller, may_launch
from portal.api.pagination import Cursor, Limit, page
from portal.api.schemas import Number

router = Router(tags=["me"])


@router.get("/me", response=schemas.Me, summary="Look at yourself")
def me(request: HttpRequest) -> Any:
    """Who the token belongs to, what that person may have, holds, and has left."""
    user = caller(request)
    may = allowance_of(user=user, now=timezone.now())
    return {
        "id": user.pk,
        "email": user.email,
        "display_name": str(user),
        "role": user.role,
        "scope": request.auth.scope,  # type: ignore[attr-defined]
        "limits": may.limits,
        "held": _held(may.held),
        "left": _left(may.limits, may.held),
        "workspaces": [_workspace(row) for row in workspaces_of(user=user)],
        "groups": [_share(share) for share in may.shares],
    }


@router.post("/me/workspaces/measure", response={202: list[schemas.Workspace]}, summary="Measure your workspace now")
def workspace_measure(request: HttpRequest) -> Status[Any]:
    """For when you have deleted files and a lab waits for that. Answers with what is known so far; `/me` tells the new size in a moment."""
    may_launch(request)
    workspace_measure_ask(user=caller(request), now=timezone.now())
    return Status(202, [_workspace(row) for row in workspaces_of(user=caller(request))])


@router.get("/me/requests", response=schemas.QuotaRequestList, summary="Look at what you asked for")
def quota_request_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The caller's requests for more, newest first."""
    return page(request, requests_of(user=caller(request)), order=("-created_at", "-id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.get("/me/requests/{int:request_id}", response=schemas.QuotaRequest, summary="Look at a request")
def quota_request_look(request: HttpRequest, request_id: Number) -> Any:
    """404 for one that is not yours."""
    return QuotaRequest.objects.get(user=caller(request), pk=request_id)


@router.post("/me/requests", response={201: schemas.QuotaRequest}, summary="Ask for more")
def quota_request_create(request: HttpRequest, asking: schemas.Asking) -> Status[Any]:
    """A teacher of yours or an administrator answers, and you are told. One request is open at once."""
    may_launch(request)
    try:
        until = datetime.combine(date.fromisoformat(asking.until), time(23, 59), timezone.get_default_timezone())
    except ValueError as error:
        raise Refused("There is no such day.", field="until", code="invalid") from error
    return Status(201, request_create(user=caller(request), asked=asking.asked.model_dump(), until=until, why=asking.why, now=timezone.now()))


@router.post("/me/requests/{int:request_id}/withdraw", response=schemas.QuotaRequest, summary="Withdraw a request")
def quota_request_withdraw(request: HttpRequest, request_id: Number) -> Any:
    """Only while it is open."""
    may_launch(request)
    request_withdraw(user=caller(request), request_id=request_id, now=timezone.now())
    return QuotaRequest.objects.get(user=caller(request), pk=request_id)


def _held(held: Held) -> dict[str, Any]:
    return {
        "gpus": held.gpus,
        "labs": held.labs,
        "pending": held.pending,
        "cpus": held.cpus,
        "memory_gib": held.memory_mib / 1024,
        "gpu_hours_week": round(held.gpu_hours_week, 2),
        "gpu_hours_month": round(held.gpu_hours_month, 2),
        "disk_gib": held.disk_gib,
    }


def _left(limits: Limits, held: Held) -> dict[str, Any]:
    """Never below nothing: limits may have been lowered below what is held."""
    caps = {
        "gpus": limits.gpus_max,
        "labs": limits.labs,
        "pending": limits.pending,
        "cpus": limits.cpus,
        "memory_gib": limits.memory_gib,
        "gpu_hours_week": limits.gpu_hours_week,
        "gpu_hours_month": limits.gpu_hours_month,
        "disk_gib": limits.disk_gib,
    }
    return {name: None if caps[name] is None else round(max(caps[name] - have, 0), 2) for name, have in _held(held).items()}


def _workspace(row: WorkspaceUse) -> dict[str, Any]:
    return {"node": row.node_id, "size": row.size, "files": row.files, "whole": row.whole, "measured_at": row.measured_at}


def _share(share: Share) -> dict[str, Any]:
    return {"name": share.words, "caps": share.caps, "held": _held(share.held)}
