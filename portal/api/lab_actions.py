"""What can be done to a lab beside stopping and extending it, and what it tells: its log and what happened to it."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from labs.ledger.models import Event
from labs.lifecycle.models import Lab
from labs.lifecycle.queries import lab_for_owner
from labs.lifecycle.reclaims import lab_requeue_set
from labs.lifecycle.services import lab_log_ask, lab_take_gpu, lab_take_gpu_cancel
from portal.api import schemas
from portal.api.auth import caller, may_launch
from portal.api.labs import lab_reached, lab_shown
from portal.api.pagination import Cursor, Limit, PageOf, page

router = Router(tags=["labs"])


class LabEvent(Schema):
    """Something that happened to a lab."""

    id: int
    at: datetime
    kind: str
    words: str
    by: str = Field(description="Whose doing it was.")


class LabEventPage(PageOf):
    """What happened to a lab, newest first."""

    items: list[LabEvent]


@router.get("/labs/{slug:lab_id}/log", response=schemas.LabLog, summary="Read a lab's log")
def lab_log(request: HttpRequest, lab_id: str) -> Any:
    """The last lines as they are known now; asking lets its node send newer ones, which the next answer has."""
    lab = lab_reached(request, lab_id)
    lab_log_ask(lab=lab)
    return {"text": lab.log_tail, "live": lab.is_live}


@router.get("/labs/{slug:lab_id}/events", response=LabEventPage, summary="Look at what happened to a lab")
def lab_events(request: HttpRequest, lab_id: str, cursor: Cursor, limit: Limit) -> Any:
    """Every event, newest first."""
    lab = lab_reached(request, lab_id)
    return page(request, Event.objects.filter(subject=lab.subject), order=("-id",), cursor=cursor, limit=limit, show=_event)


@router.post("/labs/{slug:lab_id}/take-gpu", response=schemas.Lab, summary="Restart a lab with other GPUs")
def lab_gpu_take(request: HttpRequest, lab_id: str, wish: schemas.TakeGpu) -> Any:
    """It runs on until they are free; then its kernels stop, and it starts again with them and the same files."""
    lab_take_gpu(lab=_own(request, lab_id), gpus=wish.gpus, gpu_model=wish.gpu_model, actor=caller(request), now=timezone.now())
    return lab_shown(_own(request, lab_id))


@router.post("/labs/{slug:lab_id}/take-gpu/cancel", response=schemas.Lab, summary="Keep a lab's GPUs as they are")
def lab_gpu_take_cancel(request: HttpRequest, lab_id: str) -> Any:
    """Wait for other GPUs no longer; changes nothing where it does not wait, or the restart has begun."""
    lab_take_gpu_cancel(lab=_own(request, lab_id), actor=caller(request), now=timezone.now())
    return lab_shown(_own(request, lab_id))


@router.post("/labs/{slug:lab_id}/requeue", response=schemas.Lab, summary="Say what becomes of it when its GPUs are taken back")
def lab_requeue_choose(request: HttpRequest, lab_id: str, wish: schemas.Requeue) -> Any:
    """Whether it then waits again by itself."""
    lab_requeue_set(lab=_own(request, lab_id), requeue=wish.requeue, actor=caller(request), now=timezone.now())
    return lab_shown(_own(request, lab_id))


def _own(request: HttpRequest, lab_id: str) -> Lab:
    """The caller's own lab, for a token that may change it."""
    may_launch(request)
    return lab_for_owner(user=caller(request), lab_id=lab_id)


def _event(row: Event) -> dict[str, Any]:
    return {"id": row.pk, "at": row.at, "kind": row.kind, "words": row.words, "by": row.actor_name}
