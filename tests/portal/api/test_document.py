"""The OpenAPI document says what the API does, errors included."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.callers import Caller

#: Method and path of every operation, without /api/v1.
ENDPOINTS = {
    ("post", "/labs"),
    ("get", "/labs"),
    ("get", "/labs/{lab_id}"),
    ("post", "/labs/{lab_id}/stop"),
    ("post", "/labs/{lab_id}/extend"),
    ("post", "/labs/{lab_id}/keep"),
    ("post", "/labs/{lab_id}/restart"),
    ("get", "/labs/{lab_id}/log"),
    ("get", "/labs/{lab_id}/events"),
    ("get", "/labs/{lab_id}/apps"),
    ("post", "/labs/{lab_id}/apps"),
    ("post", "/labs/{lab_id}/apps/stop"),
    ("get", "/labs/{lab_id}/shares"),
    ("post", "/labs/{lab_id}/shares"),
    ("post", "/labs/{lab_id}/shares/{share_id}/withdraw"),
    ("get", "/shared"),
    ("post", "/labs/{lab_id}/take-gpu"),
    ("post", "/labs/{lab_id}/take-gpu/cancel"),
    ("post", "/labs/{lab_id}/requeue"),
    ("get", "/jobs"),
    ("post", "/jobs"),
    ("get", "/jobs/{trigger_id}"),
    ("post", "/jobs/{trigger_id}/pause"),
    ("post", "/jobs/{trigger_id}/run"),
    ("delete", "/jobs/{trigger_id}"),
    ("post", "/jobs/call"),
    ("get", "/queue"),
    ("post", "/labs/{lab_id}/lever"),
    ("post", "/labs/{lab_id}/ask-first"),
    ("post", "/labs/{lab_id}/claim"),
    ("post", "/labs/{lab_id}/move"),
    ("get", "/gpus"),
    ("get", "/gpus/{uuid}"),
    ("get", "/images"),
    ("get", "/images/{image_id}"),
    ("get", "/house"),
    ("get", "/me"),
    ("post", "/me/workspaces/measure"),
    ("get", "/me/requests"),
    ("get", "/me/requests/{request_id}"),
    ("post", "/me/requests"),
    ("post", "/me/requests/{request_id}/withdraw"),
    ("get", "/me/keys"),
    ("post", "/me/keys"),
    ("get", "/me/keys/{key_id}"),
    ("delete", "/me/keys/{key_id}"),
    ("get", "/me/tokens"),
    ("post", "/me/tokens"),
    ("get", "/me/tokens/{token_id}"),
    ("delete", "/me/tokens/this"),
    ("delete", "/me/tokens/{token_id}"),
    ("get", "/me/notices"),
    ("get", "/me/choices"),
    ("put", "/me/choices"),
    ("get", "/announcements"),
    ("post", "/announcements"),
    ("post", "/announcements/{announcement_id}/withdraw"),
    ("get", "/calendar"),
    ("post", "/reservations"),
    ("post", "/reservations/{reservation_id}/cancel"),
    ("post", "/classes/{meeting_id}/lab"),
    ("get", "/usage"),
    ("get", "/templates"),
    ("get", "/datasets"),
    ("get", "/files"),
    ("post", "/files/link"),
    ("get", "/files/tidying"),
    ("put", "/files/tidying/keep"),
    ("put", "/files/tidying/caches"),
    ("put", "/files/tidying/switch"),
    ("post", "/files/tidying/look"),
    ("post", "/files/tidying/checkpoints"),
    ("post", "/files/tidying/clear"),
    ("get", "/files/chores"),
    ("get", "/webhooks"),
    ("post", "/webhooks"),
    ("get", "/webhooks/{hook_id}"),
    ("patch", "/webhooks/{hook_id}"),
    ("delete", "/webhooks/{hook_id}"),
    ("post", "/webhooks/{hook_id}/test"),
    ("get", "/webhooks/{hook_id}/calls"),
    ("post", "/device"),
    ("post", "/device/token"),
    ("get", "/people"),
    ("post", "/people"),
    ("get", "/people/{person_id}"),
    ("patch", "/people/{person_id}"),
    ("post", "/people/{person_id}/disable"),
    ("post", "/people/{person_id}/enable"),
    ("get", "/groups"),
    ("get", "/groups/{group_id}"),
    ("patch", "/groups/{group_id}"),
    ("post", "/groups"),
    ("get", "/nodes"),
    ("get", "/nodes/{node_id}"),
    ("post", "/nodes/join"),
    ("post", "/nodes/{node_id}/cordon"),
    ("post", "/nodes/{node_id}/uncordon"),
    ("post", "/gpus/{uuid}/service"),
    ("get", "/audit"),
    ("get", "/requests"),
    ("post", "/requests/{request_id}/answer"),
}


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    answer = Caller().get("/openapi.json")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for address, methods in document["paths"].items():
        for method, operation in methods.items():
            yield address, method, operation


def test_it_is_openapi_3_1_and_lists_every_endpoint(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert {(method, address.removeprefix("/api/v1")) for address, method, _ in _operations(document)} == ENDPOINTS


def test_every_operation_but_the_sign_in_wants_a_bearer_token_and_describes_its_problems(document: Any) -> None:
    scheme = document["components"]["securitySchemes"]["BearerToken"]
    assert scheme["type"] == "http" and scheme["scheme"] == "bearer"
    for address, method, operation in _operations(document):
        is_sign_in = address.startswith(("/api/v1/device", "/api/v1/nodes/join", "/api/v1/jobs/call"))
        assert is_sign_in or operation["security"] == [{"BearerToken": []}]
        wanted = {"429"} | (set() if is_sign_in else {"401"}) | ({"403", "409"} if method == "post" else set()) | ({"404"} if "{" in address else set())
        assert wanted <= set(operation["responses"])
        for status, response in operation["responses"].items():
            media = "application/problem+json" if status >= "400" else "application/json"
            assert status == "204" or (list(response["content"]) == [media] and response["description"])


def test_names_are_unique_and_every_reference_leads_somewhere(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))
    assert references and references <= set(document["components"]["schemas"])


def test_every_part_of_an_address_is_a_parameter(document: Any) -> None:
    for address, _, operation in _operations(document):
        stated = {one["name"] for one in operation["parameters"] if one["in"] == "path" and one["required"]}
        assert stated == set(re.findall(r"{(\w+)}", address))


def test_a_lab_and_a_wish_have_the_fields_that_were_promised(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert {"id", "name", "state", "reason", "image", "limits", "gpus", "urls"} <= set(schemas["Lab"]["required"])
    assert {"image", "gpus", "cpus", "memory_gib", "shm_gib", "hours", "name"} <= set(schemas["LabWish"]["properties"])
    assert schemas["LabPage"]["required"] == ["next", "items"]
