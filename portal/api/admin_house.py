"""Nodes, cards, requests for more and the audit log, for administrators' tokens of scope admin."""

from datetime import date, datetime, time
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from labs.fleet.models import Gpu, Node
from labs.fleet.queries import node_by_id
from labs.fleet.services import gpu_health_set, node_cordon, node_uncordon
from labs.ledger.queries import events_search
from labs.people.errors import Refused
from labs.policy.asking import request_decline, request_grant
from labs.policy.queries import request_for_answerer, requests_to_answer
from portal.api.auth import caller, may_administer
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.schemas import TEXT, Number, Strict
from portal.api.schemas_me import More, QuotaRequest

router = Router(tags=["administration"])


class NodeCheck(Schema):
    """One line of a node's health."""

    name: str
    state: str
    words: str
    fix: str


class NodeView(Schema):
    """A host with its health."""

    id: str
    name: str
    state: str = Field(description="ready, cordoned, unknown or another that the Nodes page explains.")
    runtime: str
    driver: str
    cuda: str
    engine_version: str
    cpus: int
    memory_mib: int
    heartbeat_at: datetime | None
    checks: list[NodeCheck]


class NodePage(PageOf):
    """A page of nodes."""

    items: list[NodeView]


class GpuService(Strict):
    """Whether a card is given to labs."""

    in_service: bool
    words: str = Field("", max_length=200, pattern=r"^[^\x00-\x1f]*$", description="Why, for whoever looks at it later.")


class GpuState(Schema):
    """A card's health."""

    uuid: str
    health: str


class AuditEvent(Schema):
    """Who did what to which thing, when."""

    id: int
    at: datetime
    actor: str = Field(alias="actor_name")
    kind: str
    subject: str
    words: str


class AuditPage(PageOf):
    """A page of the audit log, newest first."""

    items: list[AuditEvent]


class QuotaRequestOpen(QuotaRequest):
    """A request with who asks."""

    email: str


class QuotaRequestPage(PageOf):
    """A page of open requests, oldest first."""

    items: list[QuotaRequestOpen]


class QuotaAnswer(Strict):
    """Yes, perhaps with other numbers, or no with words."""

    grant: bool
    values: More | None = Field(None, description="Left out: what was asked for.")
    until: str | None = Field(None, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="The last day; left out, the one that was asked for.")
    answer: str = Field("", max_length=300, pattern=TEXT)


@router.get("/nodes", response=NodePage, summary="List nodes")
def node_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Every host with its checks."""
    may_administer(request)
    return page(request, Node.objects.all(), order=("name", "id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.get("/nodes/{slug:node_id}", response=NodeView, summary="Look at a node")
def node_look(request: HttpRequest, node_id: str) -> Any:
    """With its checks."""
    may_administer(request)
    return node_by_id(node_id=node_id)


@router.post("/nodes/{slug:node_id}/cordon", response=NodeView, summary="Cordon a node")
def node_shut(request: HttpRequest, node_id: str) -> Any:
    """It takes no new lab; running ones go on."""
    may_administer(request)
    node_cordon(node=node_by_id(node_id=node_id), actor=caller(request), now=timezone.now())
    return node_by_id(node_id=node_id)


@router.post("/nodes/{slug:node_id}/uncordon", response=NodeView, summary="Uncordon a node")
def node_open(request: HttpRequest, node_id: str) -> Any:
    """It takes labs again."""
    may_administer(request)
    node_uncordon(node=node_by_id(node_id=node_id), actor=caller(request), now=timezone.now())
    return node_by_id(node_id=node_id)


@router.post("/gpus/{str:uuid}/service", response=GpuState, summary="Take a GPU out of service, or bring it back")
def gpu_service(request: HttpRequest, uuid: str, wish: GpuService) -> Any:
    """A running lab is not touched."""
    may_administer(request)
    gpu = Gpu.objects.get(pk=_printable(uuid))
    health, usual = (Gpu.Health.OK, "") if wish.in_service else (Gpu.Health.DRAINED, f"Taken out by {caller(request)}.")
    gpu_health_set(gpu=gpu, health=health, words=wish.words or usual, actor=caller(request), now=timezone.now())
    return Gpu.objects.get(pk=gpu.pk)


@router.get("/audit", response=AuditPage, summary="Read the audit log")
def audit_list(
    request: HttpRequest,
    cursor: Cursor,
    limit: Limit,
    text: Annotated[str, Query(default="", max_length=100, description="Part of the words, the actor or the subject.")],
    kind: Annotated[str, Query(default="", max_length=60, description="The beginning of a kind, such as lab. or person.")],
) -> Any:
    """Everything that happened, newest first."""
    may_administer(request)
    rows: Any = events_search(text=_printable(text), kind=_printable(kind))
    return page(request, rows, order=("-id",), cursor=cursor, limit=limit, show=lambda row: row)


@router.get("/requests", response=QuotaRequestPage, summary="List open requests for more")
def request_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Those that wait for an answer."""
    may_administer(request)
    rows = requests_to_answer(user=caller(request))
    return page(request, rows, order=("created_at", "id"), cursor=cursor, limit=limit, show=_request)


@router.post("/requests/{int:request_id}/answer", response=QuotaRequestOpen, summary="Answer a request for more")
def request_answer(request: HttpRequest, request_id: Number, answer: QuotaAnswer) -> Any:
    """Whoever asked is told."""
    may_administer(request)
    row, actor, now = request_for_answerer(user=caller(request), request_id=request_id), caller(request), timezone.now()
    if answer.grant:
        values = answer.values.model_dump() if answer.values else row.asked
        request_grant(request_id=row.pk, values=values, until=_day(answer.until) or row.until, answer=answer.answer, actor=actor, now=now)
    else:
        request_decline(request_id=row.pk, answer=answer.answer, actor=actor, now=now)
    return _request(request_for_answerer(user=actor, request_id=row.pk))


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(23, 59), timezone.get_default_timezone())
    except ValueError as error:
        raise Refused("There is no such day.", field="until", code="invalid") from error


def _request(row: Any) -> dict[str, Any]:
    names = ("id", "asked", "until", "why", "state", "created_at", "answered_at", "answer")
    return {name: getattr(row, name) for name in names} | {"email": row.user.email}


def _printable(text: str) -> str:
    """Databases differ in which characters they take; nothing here has one that cannot be printed."""
    return "".join(letter for letter in text if letter.isprintable())
