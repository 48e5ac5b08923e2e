"""Lists in pages: `{"items": […], "next": …}`, where `next` is the address of the next page or null.

The cursor names the last row that was seen, so that rows which come or go meanwhile neither repeat nor skip others.
It is signed: nothing that a client makes up reaches the database.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from ninja import Query, Schema
from pydantic import Field

from labs.people.errors import Refused

M = TypeVar("M", bound=Model)
T = TypeVar("T")
SALT = "gpulab.api.cursor"

Cursor = Annotated[str, Query(default="", max_length=2000, description="From `next` of the page before.")]
Limit = Annotated[int, Query(default=50, ge=1, le=100, description="Items in a page.")]


class PageOf(Schema):
    """What every list has beside its items."""

    next: str | None = Field(description="The address of the next page; null on the last.")


def page(request: HttpRequest, rows: QuerySet[M], *, order: tuple[str, ...], cursor: str, limit: int, show: Callable[[M], Any]) -> dict[str, Any]:
    """One page of `rows` in the given order, which ends in a unique field; a leading `-` is downwards."""
    if cursor:
        rows = rows.filter(_after(order, _opened(cursor, request.path)))
    found = list(rows.order_by(*order)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return {"items": [show(row) for row in found], "next": _next(request, found[-1], order) if more else None}


def page_of(request: HttpRequest, items: Sequence[T], *, name: Callable[[T], object], cursor: str, limit: int, show: Callable[[T], Any]) -> dict[str, Any]:
    """One page of what is no table, in its own order; `name` is what an item is known by. Behind one that has gone, what stands in its place comes next."""
    begin = 0
    if cursor:
        place, last = _opened(cursor, request.path)
        begin = next((index + 1 for index, item in enumerate(items) if str(name(item)) == last), int(place))
    found = items[begin : begin + limit]
    more = begin + limit < len(items)
    return {"items": [show(item) for item in found], "next": _address(request, [str(begin + limit - 1), str(name(found[-1]))]) if more else None}


def _after(order: tuple[str, ...], values: list[str]) -> Q:
    """Rows behind the last one: (a, b) > (x, y) spelled as a > x or (a = x and b > y)."""
    behind, same = Q(pk__in=[]), Q()
    for name, value in zip(order, values, strict=True):
        field = name.lstrip("-")
        behind |= same & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{field: value})
    return behind


def _next(request: HttpRequest, last: Model, order: tuple[str, ...]) -> str:
    return _address(request, [str(getattr(last, name.lstrip("-"))) for name in order])


def _address(request: HttpRequest, values: list[str]) -> str:
    query = request.GET.dict() | {"cursor": signing.dumps(values, salt=SALT + request.path)}
    return f"{settings.PORTAL_URL}{request.path}?{urlencode(query)}"


def _opened(cursor: str, path: str) -> list[str]:
    try:
        values: list[str] = signing.loads(cursor, salt=SALT + path)
    except signing.BadSignature as error:
        raise Refused("Take the cursor from `next` of the page before.", field="cursor", code="invalid") from error
    return values
