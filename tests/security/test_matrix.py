"""Every way into the house, tried by everybody: what opens to whom is a table, and a way without a row is an error.

The table is `matrix.csv`. A row is one method of one path; below each caller stands `in` or `out`. Out is to be told 401, 403, 404 or 405, or to be sent
to the sign-in page. What a path does once somebody is in is told by the tests of its page.
"""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from tests.security.bodies import body_of
from tests.security.routes import admin_routes, filled, http_routes, socket_routes
from tests.security.world import CALLERS, World, world_make

TABLE = Path(__file__).parent / "matrix.csv"
API = "api/v1/"
PAGE_METHODS, API_METHODS = ("GET", "POST"), ("GET", "POST", "PUT", "PATCH", "DELETE")
#: These answer every method alike.
ANY_METHOD = ("healthz", "api/v1/openapi.json", "api/v1/")
pytestmark = pytest.mark.django_db
#: The routes as they are when the tests are collected.
ROUTES = http_routes()
REFUSED = (401, 403, 404)
NO_WAY, SOCKET = "no way", "SOCKET"
#: Where those are sent who have to sign in, or to do so again, before they may go where they wanted.
SIGN_IN = ("/accounts/login/?", "/accounts/reauthenticate/?", "/accounts/2fa/reauthenticate/?", "/admin/login/?")


def table() -> dict[tuple[str, str], dict[str, str]]:
    """Method and path to what each caller meets."""
    with TABLE.open(newline="") as lines:
        return {(row.pop("method"), row.pop("path")): row for row in csv.DictReader(lines)}


EXPECTED = table()


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Made once; what a request changes is undone after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield world_make(now=timezone.now())
        transaction.set_rollback(True)


def methods_of(route: str) -> tuple[str, ...]:
    """The methods that are worth a try."""
    if route in ANY_METHOD:
        return ("GET",)
    return API_METHODS if route.startswith(API) else PAGE_METHODS


def row_of(world: World, method: str, path: str, route: str) -> dict[str, str] | None:
    """What each caller meets; None where this method leads nowhere."""
    if meets(world, "administrator", method, path, route) == NO_WAY:
        return None
    return {caller: meets(world, caller, method, path, route) for caller in CALLERS}


def meets(world: World, caller: str, method: str, path: str, route: str) -> str:
    """`in`, `out`, or NO_WAY where this method leads nowhere."""
    with transaction.atomic():
        answer = _asked(world, caller, method, path, route)
        transaction.set_rollback(True)
    return _read(answer)


def _asked(world: World, caller: str, method: str, path: str, route: str) -> HttpResponse:
    body = body_of(method, route)
    if route.startswith(API):
        return world.callers[caller].client().generic(method, path, body, content_type="application/json")
    browser = world.browsers[caller]
    before = browser.cookies.copy()
    try:
        return browser.generic(method, path, body, content_type="application/x-www-form-urlencoded")
    finally:
        browser.cookies = before


def _read(answer: HttpResponse) -> str:
    if answer.status_code == 405:
        return NO_WAY
    assert answer.status_code < 500, answer.content[-2000:]
    to_sign_in = answer.status_code == 302 and answer["Location"].startswith(SIGN_IN)
    return "out" if answer.status_code in REFUSED or to_sign_in else "in"


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "admin/*"])
def test_a_path_opens_to_those_in_its_row_alone(world: World, route: str) -> None:
    path, wrong = filled(route, world.values_for(route)), []
    for method in methods_of(route):
        found = row_of(world, method, path, route)
        if found != EXPECTED.get((method, route)):
            wrong.append(",".join((method, route, *(found or {"no such": "way"}).values())))
    assert not wrong, "What is met differs from tests/security/matrix.csv, or its row is missing. Judge each caller, then write:\n" + "\n".join(wrong)


def test_the_records_open_to_administrators_alone(world: World) -> None:
    outsiders = ("nobody", "teacher", "owner")
    values = world.values | {"object_id": world.values["lab_id"], "app_label": "people", "url": "nothing", "path": "x", "content_type_id": "1"}
    opened = [
        (route, caller)
        for route, caller in itertools.product(admin_routes(), outsiders)
        if route not in OPEN_OF_ADMIN and meets(world, caller, "GET", filled(route, values), route) == "in"
    ]
    assert not opened
    assert meets(world, "administrator", "GET", "/admin/", "admin/") == "in"


#: The way to the sign-in page, to out of it, and the words of its scripts.
OPEN_OF_ADMIN = ("admin/login/", "admin/logout/", "admin/jsi18n/")


def test_no_row_is_left_of_a_path_that_is_gone() -> None:
    assert {route for method, route in EXPECTED if method != SOCKET} - set(ROUTES) == set()
    assert {route.partition("?")[0] for method, route in EXPECTED if method == SOCKET} == set(socket_routes())
