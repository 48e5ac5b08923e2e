"""The OpenAPI document, completed: every operation names the problems it can answer with."""

from typing import Any, TypeVar

from ninja.schema import NinjaGenerateJsonSchema

from portal.api.problems import MEDIA_TYPE, Problem

Document = TypeVar("Document", bound=dict[str, Any])
ALWAYS = {
    401: "No live token",
    403: "The token may not do this",
    429: "Too many requests; Retry-After says when",
    503: "The database is away; Retry-After says when to try again",
}
WITH_INPUT = {422: "Refused: a field is wrong, or a limit is passed by the wish alone"}
WITH_ID = {404: "There is no such thing, or it is not yours"}
WRITES = {403: "The token's scope is too small", 409: "Not as things are now; it may pass later"}
OF_A_THING = {412: "It is not any more as If-Match says"}
WITH_BODY = {400: "The body is no JSON", 413: "The body is too large"}


def errors_described(document: Document) -> Document:
    """Add the problem's schema and its responses to every operation."""
    document["components"]["schemas"] |= _problem_schemas()
    for address, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, words in _errors(address, method, operation).items():
                operation["responses"][status] = {"description": words, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return document


def _errors(address: str, method: str, operation: dict[str, Any]) -> dict[int, str]:
    errors = dict(ALWAYS)
    if operation.get("parameters") or "requestBody" in operation:
        errors |= WITH_INPUT
    if "{" in address or any(one["name"] == "of" for one in operation.get("parameters", [])):
        errors |= WITH_ID
    if any(one["name"] == "everyone" for one in operation.get("parameters", [])):
        errors |= {403: WRITES[403]}
    if method != "get":
        errors |= WRITES | (OF_A_THING if "{" in address else {})
    if "administration" in operation.get("tags", []):
        errors |= {403: WRITES[403]}
    if "requestBody" in operation:
        errors |= WITH_BODY
    return dict(sorted(errors.items()))


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}", schema_generator=NinjaGenerateJsonSchema, mode="serialization")
    below: dict[str, Any] = schema.pop("$defs")
    return below | {"Problem": schema}
