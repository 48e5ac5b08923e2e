"""The queue: who waits, why, and about when; and what can be done about it."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from labs.lifecycle.claims import lab_ask_first_set, lab_claim
from labs.lifecycle.levers import lab_lever_pull
from labs.lifecycle.ordering import queue_move, queue_move_undo
from labs.lifecycle.queries import lab_for_owner, lab_for_viewer
from labs.lifecycle.queueing import QueueEntry, card_free_at, estimates_score, queue_view
from labs.people.models import User
from portal.api import schemas, schemas_queue
from portal.api.auth import caller, is_admin, may_administer, may_launch
from portal.api.labs import lab_shown
from portal.api.pagination import Cursor, page_of

router = Router(tags=["queue"])


@router.get("/queue", response=schemas_queue.Queue, summary="Look at the queue")
def queue(
    request: HttpRequest,
    mine: Annotated[bool, Query(default=False, description="Only your own labs.")],
    cursor: Cursor,
    limit: Annotated[int, Query(default=100, ge=1, le=1000, description="Entries in a page, from the front.")],
) -> Any:
    """Everybody who waits, in order. What others ask for in detail, and why they wait, is theirs and administrators' to see."""
    user, now = caller(request), timezone.now()
    entries = queue_view(now=now)
    shown, everything = [entry for entry in entries if not mine or entry.lab.owner_id == user.pk], is_admin(request)

    def show(entry: QueueEntry) -> dict[str, Any]:
        return _entry(entry, user, everything=everything)

    return page_of(request, shown, name=lambda entry: entry.lab.pk, cursor=cursor, limit=limit, show=show) | {
        "waiting": len(entries),
        "estimates": estimates_score(now=now),
        "card_free_at": card_free_at(now=now),
    }


@router.post("/labs/{slug:lab_id}/lever", response=schemas.Lab, summary="Start a waiting lab sooner")
def lab_lever(request: HttpRequest, lab_id: str, pull: schemas.LeverPull) -> Any:
    """Change a waiting lab as one of its levers says. Its place, name and files stay the same."""
    may_launch(request)
    lab_lever_pull(lab=lab_for_owner(user=caller(request), lab_id=lab_id), code=pull.code, actor=caller(request), now=timezone.now())
    return lab_shown(lab_for_owner(user=caller(request), lab_id=lab_id))


@router.post("/labs/{slug:lab_id}/ask-first", response=schemas.Lab, summary="Be asked first, or not")
def lab_ask(request: HttpRequest, lab_id: str, wish: schemas.AskFirst) -> Any:
    """Whether a queued lab starts by itself when its turn comes, or is held for 10 minutes for its owner to claim."""
    may_launch(request)
    lab_ask_first_set(lab=lab_for_owner(user=caller(request), lab_id=lab_id), ask_first=wish.ask_first, actor=caller(request), now=timezone.now())
    return lab_shown(lab_for_owner(user=caller(request), lab_id=lab_id))


@router.post("/labs/{slug:lab_id}/claim", response=schemas.Lab, summary="Claim what is held for a lab")
def lab_take(request: HttpRequest, lab_id: str) -> Any:
    """Start an offered lab. 409 when the ten minutes are over."""
    may_launch(request)
    lab_claim(lab=lab_for_owner(user=caller(request), lab_id=lab_id), actor=caller(request), now=timezone.now())
    return lab_shown(lab_for_owner(user=caller(request), lab_id=lab_id))


@router.post("/labs/{slug:lab_id}/move", response=schemas.Lab, summary="Move a waiting lab in the queue")
def lab_move(request: HttpRequest, lab_id: str, move: schemas.QueueMove) -> Any:
    """For administrators: first or last, with a reason that its owner reads; or back to its own place."""
    may_administer(request)
    lab, now = lab_for_viewer(user=caller(request), lab_id=lab_id), timezone.now()
    if move.to == "own":
        queue_move_undo(lab=lab, actor=caller(request), now=now)
    else:
        queue_move(lab=lab, first=move.to == "first", reason=move.reason, actor=caller(request), now=now)
    return lab_shown(lab)


def _entry(entry: QueueEntry, user: User, *, everything: bool) -> dict[str, Any]:
    """One place in the queue as this person may see it."""
    lab = entry.lab
    mine = everything or lab.owner_id == user.pk
    return {
        "place": entry.place,
        "lab": lab.pk if mine else None,
        "name": lab.name if mine else None,
        "owner": lab.owner.email if mine else None,
        "gpus": lab.gpus if lab.next_gpus is None else lab.next_gpus,
        "requested_at": lab.requested_at,
        "waiting_since": lab.waits_since,
        "estimate": entry.estimate,
        "reasons": list(entry.reasons) if mine else [],
        "moved": entry.move is not None,
    }
