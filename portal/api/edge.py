"""What holds for every answer of the API: unchanged ones are not sent again, and what was made under a key is made once."""

import hashlib
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import cast

from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import parse_etags

from labs.bus.secrets import seal, unseal
from labs.jobs.queries import trigger_by_secret
from labs.people.models import ApiRequest
from labs.people.queries import person_by_token
from portal.api.problems import database_away, not_found, problem, too_big

KEY = "Idempotency-Key"
MOST_KEY = 80
KEPT_FOR = timedelta(days=1)
SEAL = "api-requests"
#: Launching a lab keeps its key with the lab itself, for as long as the lab is known.
OWN_KEYS = ("/api/v1/labs",)
Answer = Callable[[], HttpResponse]
ROOT = "/api/v1"
CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IDEMPOTENCY_KEY")


def tagged(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer to a read with its ETag; 304 where the caller has it already, 412 where If-Match names another."""
    if request.method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    return get_conditional_response(request, etag=response["ETag"], response=response) or response


def as_expected(request: HttpRequest, answer: Answer) -> HttpResponse:
    """The answer to a change; 412 where If-Match says that the thing looks otherwise than it does now. The thing is what GET shows at this path, or at the
    nearest above: that of the lab for /labs/<id>/extend."""
    wanted = request.headers.get("If-Match", "")
    if request.method in ("GET", "HEAD") or not wanted:
        return answer()
    found = _seen(request)
    if found.status_code != 200 or wanted.strip() == "*" or found["ETag"] in parse_etags(wanted):
        return answer()  # which tells of a stranger's thing as it always does
    return problem(412, "It has changed since you looked. Look again, then decide.", code="changed")


def _seen(request: HttpRequest) -> HttpResponse:
    """What GET shows of the thing that a path is about."""
    look = copy(request)
    look.method = "GET"
    look.META = {name: value for name, value in request.META.items() if name not in CONDITIONS}
    vars(look).pop("headers", None)
    path = request.path
    while (path := path.rstrip("/")) != ROOT:
        view = resolve(path)
        if (found := view.func(look, *view.args, **view.kwargs)).status_code != 405:
            return cast("HttpResponse", found)
        path = path.rpartition("/")[0]
    return not_found(look)


def once(request: HttpRequest, answer: Answer) -> HttpResponse:
    """The answer to a POST; under the same Idempotency-Key the first one again, for a day. A refusal is no answer: it may be tried again."""
    key = request.headers.get(KEY, "")
    if request.method != "POST" or not key or request.path in OWN_KEYS:
        return answer()
    if len(key) > MOST_KEY or not (key.isascii() and key.isprintable()):
        return problem(422, f"A key has at most {MOST_KEY} plain characters.", code="invalid", errors=[{"field": KEY, "words": "not a key"}])
    if not _is_live(request):
        return answer()  # which says so
    try:
        return _kept(request, key, answer)
    except (OperationalError, InterfaceError) as error:
        return database_away(request, error)
    except RequestDataTooBig as error:
        return too_big(request, error)


def _is_live(request: HttpRequest) -> bool:
    """A kept answer is for whoever may still ask: a token that was revoked meanwhile gets none, nor the secret of a job that is paused."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and (person_by_token(secret=secret, now=timezone.now()) or trigger_by_secret(secret=secret)) is not None


def _kept(request: HttpRequest, key: str, answer: Answer) -> HttpResponse:
    asked = _digest(request.path, request.body)
    row = {"caller": _digest(request.headers.get("Authorization", "")), "key": key}
    try:
        with transaction.atomic():
            ApiRequest.objects.filter(made_at__lt=timezone.now() - KEPT_FOR).delete()
            made = ApiRequest.objects.create(**row, asked=asked, made_at=timezone.now())
            response = answer()
            if response.status_code >= 500:
                transaction.set_rollback(True)
                return response
            if response.status_code >= 300:
                made.delete()  # alone: what a refusal leaves (why a job did not run, for its owner) stays as it does without a key
                return response
            made.status, made.answer_sealed = response.status_code, seal(SEAL, response.content.decode())
            made.save(update_fields=["status", "answer_sealed"])
            return response
    except IntegrityError:
        return _again(ApiRequest.objects.get(**row), asked)


def _again(row: ApiRequest, asked: str) -> HttpResponse:
    if row.asked != asked:
        return problem(422, f"This {KEY} was used for another request.", code="key_reused", errors=[{"field": KEY, "words": "used before"}])
    body = unseal(SEAL, row.answer_sealed) or ""
    return HttpResponse(body, status=row.status, content_type="application/json; charset=utf-8", headers={"Idempotent-Replay": "true"})


def _digest(*parts: str | bytes) -> str:
    return hashlib.sha256(b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)).hexdigest()
