"""Every operation of the OpenAPI document, with what it asks for and with what it does not: never a server error."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.lifecycle.models import Lab
from portal.api import rates
from portal.api.urls import api

pytestmark = pytest.mark.django_db
OPERATIONS = [
    ("post", "/api/v1/labs"),
    ("get", "/api/v1/labs"),
    ("get", "/api/v1/labs/{lab_id}"),
    ("post", "/api/v1/labs/{lab_id}/stop"),
    ("post", "/api/v1/labs/{lab_id}/extend"),
    ("get", "/api/v1/queue"),
    ("post", "/api/v1/labs/{lab_id}/lever"),
    ("post", "/api/v1/labs/{lab_id}/ask-first"),
    ("post", "/api/v1/labs/{lab_id}/claim"),
    ("post", "/api/v1/labs/{lab_id}/move"),
    ("get", "/api/v1/calendar"),
    ("post", "/api/v1/reservations"),
    ("post", "/api/v1/reservations/{reservation_id}/cancel"),
    ("post", "/api/v1/classes/{meeting_id}/lab"),
    ("get", "/api/v1/gpus"),
    ("get", "/api/v1/images"),
    ("get", "/api/v1/usage"),
    ("get", "/api/v1/announcements"),
    ("get", "/api/v1/labs/{lab_id}/apps"),
    ("post", "/api/v1/labs/{lab_id}/apps"),
    ("post", "/api/v1/labs/{lab_id}/apps/stop"),
    ("get", "/api/v1/labs/{lab_id}/shares"),
    ("post", "/api/v1/labs/{lab_id}/shares"),
    ("post", "/api/v1/labs/{lab_id}/shares/{share_id}/withdraw"),
    ("get", "/api/v1/shared"),
    ("post", "/api/v1/announcements"),
    ("post", "/api/v1/announcements/{announcement_id}/withdraw"),
    ("get", "/api/v1/me"),
    ("get", "/api/v1/me/requests"),
    ("post", "/api/v1/me/requests"),
    ("post", "/api/v1/me/requests/{request_id}/withdraw"),
]

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.integers(-(10**40), 10**40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def _value(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema allows."""
    if "$ref" in schema:
        return _value(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "anyOf" in schema:
        return st.one_of([_value(one, schemas) for one in schema["anyOf"]])
    kinds: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "null": st.none,
        "boolean": st.booleans,
        "integer": lambda: st.integers(schema.get("minimum"), schema.get("maximum")) | st.integers(schema.get("minimum", 0), schema.get("minimum", 0) + 8),
        "string": lambda: st.from_regex(schema["pattern"].replace("$", r"\Z")) if "pattern" in schema else TEXT,
        "array": lambda: st.lists(_value(schema["items"], schemas), max_size=3),
        "object": lambda: _object(schema, schemas),
    }
    return kinds[schema["type"]]()


def _object(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: _value(one, schemas) for name, one in schema["properties"].items()}
    required = set(schema.get("required", []))
    whole = st.fixed_dictionaries({name: fields[name] for name in required}, optional={name: fields[name] for name in fields if name not in required})
    spoilt = st.tuples(whole, st.sampled_from(sorted(fields)), ANYTHING).map(lambda made: made[0] | {made[1]: made[2]})
    return whole | spoilt


def _request(operation: dict[str, Any], schemas: dict[str, Any], lab: Lab) -> st.SearchStrategy[dict[str, Any]]:
    """Path ids, query, headers and body for one operation, good and bad."""
    query = {one["name"]: _value(one["schema"], schemas) | TEXT for one in operation["parameters"] if one["in"] == "query"}
    body = operation.get("requestBody")
    wanted = _value(body["content"]["application/json"]["schema"], schemas) if body else st.none()
    bodies = wanted.map(json.dumps).map(str.encode) | ANYTHING.map(json.dumps).map(str.encode) | st.binary(max_size=30)
    return st.fixed_dictionaries(
        {
            "lab_id": st.sampled_from([lab.pk, lab.pk, lab.name]) | TEXT.filter(bool),
            "number": st.integers(0, 3) | st.integers(0, 10**30),
            "query": st.fixed_dictionaries({}, optional=query),
            "key": st.just("") | st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=90),
            "body": bodies,
        }
    )


def _problems(answer: Any, operation: dict[str, Any]) -> str:
    if answer.status_code >= 500:
        return f"server error {answer.status_code}"
    if str(answer.status_code) not in operation["responses"]:
        return f"{answer.status_code} is not in the document"
    media = next(iter(operation["responses"][str(answer.status_code)]["content"]))
    return "" if answer["Content-Type"].split(";")[0] == media else f"{answer.status_code} came as {answer['Content-Type']}"


@pytest.mark.parametrize(("method", "address"), OPERATIONS, ids=lambda part: part.removeprefix("/api/v1"))
def test_no_request_makes_a_server_error_or_an_undocumented_answer(
    calls: Any, root_admin: Any, lab_of: Any, image: Any, monkeypatch: pytest.MonkeyPatch, method: str, address: str
) -> None:
    monkeypatch.setattr(rates, "READS", 10**6)
    monkeypatch.setattr(rates, "WRITES", 10**6)
    document = json.loads(json.dumps(api.get_openapi_schema()))
    operation, lab, caller = document["paths"][address][method], lab_of(root_admin), calls(root_admin)
    client = Client(headers={"Authorization": f"Bearer {caller.secret}"}, raise_request_exception=False)

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(_request(operation, document["components"]["schemas"], lab))
    def sweep(request: dict[str, Any]) -> None:
        path = (
            address.replace("{lab_id}", quote(request["lab_id"], safe=""))
            .replace("{reservation_id}", str(request["number"]))
            .replace("{request_id}", str(request["number"]))
            .replace("{announcement_id}", str(request["number"]))
            .replace("{share_id}", str(request["number"]))
        )
        headers = {"Idempotency-Key": request["key"]} if request["key"] else {}
        body = request["body"] if method == "post" else b""
        answer = client.generic(method.upper(), f"{path}?{urlencode(request['query'])}", body, content_type="application/json", headers=headers)
        wrong = _problems(answer, operation)
        assert not wrong, f"{wrong}: {method} {path} {request} -> {answer.content[:300]!r}"

    sweep()
