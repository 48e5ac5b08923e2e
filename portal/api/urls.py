"""The API under /api/v1/, its OpenAPI document, and its edge: problems for everything, rates in headers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from portal.api import (
    account,
    admin_house,
    admin_people,
    announcements,
    apps,
    calendar,
    datasets,
    devices,
    files,
    gpus,
    house,
    images,
    jobs,
    lab_actions,
    labs,
    me,
    nodes,
    queue,
    starters,
    tidying,
    usage,
    webhooks,
)
from portal.api.auth import BearerToken
from portal.api.document import errors_described
from portal.api.edge import as_expected, once, tagged
from portal.api.problems import install, not_allowed, not_found
from portal.api.rates import rate_headers_set

View = Callable[..., HttpResponse]


class LabApi(NinjaAPI):
    """django-ninja, with the errors in the OpenAPI document."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's own name, so that generated clients read well."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """The document of this API."""
        return errors_described(super().get_openapi_schema(**kwargs))


def at_the_edge(view: View) -> View:
    """What holds for every answer: 405 is a problem too, rates are told, nothing is cached."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = tagged(request, once(request, lambda: as_expected(request, lambda: view(request, *args, **kwargs))))
        except Http404:
            response = not_found(request)
        if response.status_code == 405:
            response = not_allowed(response["Allow"])
        rate_headers_set(request, response)
        response.setdefault("Cache-Control", "no-store")
        return response

    return csrf_exempt(answer)  # bearer tokens only: there is no cookie that another site could ride on


api = LabApi(
    title="GPU Lab",
    version="1",
    description="Launch and manage GPU labs. Every request carries `Authorization: Bearer gpa_…`, a token made on the account page. "
    "A POST with an `Idempotency-Key` of yours, sent again, is answered as the first time. Reads carry an `ETag`; send it back as `If-None-Match`, "
    "or as `If-Match` with a change that is meant for just that state.",
    docs_url=None,
    auth=BearerToken(),
    urls_namespace="api-v1",
)
install(api)
ROOMS = (labs, lab_actions, jobs, queue, gpus, images, datasets, house, me, account, announcements, apps, starters, calendar, usage, webhooks, devices)
for room in (*ROOMS, files, tidying, nodes, admin_people, admin_house):
    api.add_router("", room.router)

_doors = api.urls
for _pattern in _doors[0]:
    if isinstance(_pattern, URLPattern):
        _pattern.callback = at_the_edge(_pattern.callback)

urlpatterns = [path("", _doors), re_path("", at_the_edge(not_found))]
