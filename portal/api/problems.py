"""Errors as RFC 9457 problem details: one shape for everything that goes wrong, with words for the person."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, Throttled, ValidationError
from pydantic import Field

from labs.people.errors import Refused

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
#: Refusals that depend on what is now: the same request may pass later.
CONFLICT_CODES = {"disk_full", "name_taken", "pending", "state", "waiting"}


class Fault(Schema):
    """One field that is wrong."""

    field: str
    words: str


class Problem(Schema):
    """Why a request was not granted (RFC 9457)."""

    type: str = Field(description="Always about:blank: the status says what kind of problem it is, `code` says which.")
    title: str
    status: int
    detail: str = Field(description="A sentence for a person.")
    code: str = Field(description="A word for a program.")
    errors: list[Fault] = Field(default=[], description="The fields that caused it, where fields did.")
    more: dict[str, int] = Field(default={}, description="Which limits would have to be how much: what POST /me/requests takes as `asked`.")


def problem(
    status: int,
    detail: str,
    *,
    code: str = "",
    errors: list[dict[str, str]] | None = None,
    more: Mapping[str, int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A response with a problem as its body."""
    known = HTTPStatus(status)
    body: dict[str, Any] = {"type": "about:blank", "title": known.phrase, "status": status, "detail": detail, "code": code or known.name.lower()}
    if errors:
        body["errors"] = errors
    if more:
        body["more"] = dict(more)
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE, headers=dict(headers or {}))


def install(api: NinjaAPI) -> None:
    """Let every exception of the API end as a problem."""
    handlers: dict[type[Exception], Any] = {
        Refused: _refused,
        ValidationError: _invalid,
        Throttled: _throttled,
        HttpError: _http,
        RequestDataTooBig: too_big,
        Http404: not_found,
        ObjectDoesNotExist: not_found,
        PermissionDenied: _denied,
        OperationalError: database_away,
        InterfaceError: database_away,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def not_found(request: HttpRequest, error: Exception | None = None) -> HttpResponse:
    """404, also for what exists and is somebody else's."""
    return problem(404, "There is nothing here, or it is not yours.")


def not_allowed(methods: str) -> HttpResponse:
    """405 with the methods that are."""
    return problem(405, f"This address takes {methods}.", headers={"Allow": methods})


def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    status = 409 if error.code in CONFLICT_CODES else 422
    errors = [{"field": error.field, "words": error.words}] if error.field else None
    return problem(status, error.words, code=error.code, errors=errors, more=error.more)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [_fault(one) for one in error.errors]
    detail = "; ".join(f"{one['field']}: {one['words']}" if one["field"] else one["words"] for one in errors)
    return problem(422, detail, code="invalid", errors=errors)


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """The place without the parameter's own name: what the client wrote, not what we call it."""
    source, *place = error["loc"]
    place = place[1:] if source == "body" else place
    return {"field": ".".join(str(part) for part in place), "words": error["msg"]}


def _throttled(request: HttpRequest, error: Throttled) -> HttpResponse:
    return problem(429, f"Too many requests. Try again in {error.wait} s.", headers={"Retry-After": str(error.wait)})


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 401:
        return problem(401, "Send a live API token: `Authorization: Bearer gpa_…`.", headers={"WWW-Authenticate": 'Bearer realm="GPU Lab"'})
    if error.status_code == 403:
        return problem(403, str(error), code="insufficient_scope", headers={"WWW-Authenticate": 'Bearer realm="GPU Lab", error="insufficient_scope"'})
    return problem(error.status_code, f"{error}.".replace("..", "."))


def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, str(error) or "That is not for you.")


def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """503, with when to try again."""
    log.error("API: %s %s had no database: %s", request.method, request.path, error)
    words = "The database does not answer. Running labs go on. Try again in a moment, with the same Idempotency-Key."
    return problem(503, words, code="database_away", headers={"Retry-After": "10"})


def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    """413."""
    return problem(413, "The body is too large.")


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("API: %s %s failed", request.method, request.path, exc_info=error)
    return problem(500, "Something went wrong on our side; it is in the portal's log.")
