"""What the OpenAPI document says beyond what the routes say by themselves."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway.http.idempotency import HEADER
from gateway.http.problems import PROBLEM_JSON

TITLE: Final = "Channel gateway"
SUMMARY: Final = "Conversations on Facebook Pages, Instagram and your own channels, by REST."
DESCRIPTION: Final = """\
Connect a **channel**, and what its **contacts** write becomes **conversations** with ordered
**messages**. Each matter is an **enquiry**, which is routed to **agents** or **endpoints**. Answers
are accepted here and leave one after the other.

- **Keys.** Send `Authorization: Bearer cgk_…`. A key has scopes: `read`, `write`, `send`, `admin`.
- **Repeating safely.** Send an `Idempotency-Key` with a POST; the same key and body give the first
  answer again, for 24 hours.
- **Lists** come in parts: pass `next_cursor` on as `cursor` until it is null.
- **Changing.** PATCH takes a JSON merge patch: what you leave out stays, `null` removes. `If-Match`
  with the version guards against overwriting somebody else's change.
- **Problems** are `application/problem+json`; [all of them](/problems) are explained.
- **Events** reach you by webhook (make an endpoint), on Kafka, or through the feed.
"""
TAGS: Final = (
    ("Channels", "Connected Pages, Instagram accounts and third-party systems."),
    ("Routing", "Which destination gets a channel's enquiries."),
    ("Conversations", "The lasting thread between one contact and one channel; messages go here."),
    ("Messages", "What became of a message, and what can still be done."),
    ("Enquiries", "Matters inside conversations: who takes them, and how they end."),
    ("Reports", "How many enquiries there were, how long they waited, and how many were missed."),
    ("Contacts", "The people behind the sources' ids."),
    ("Agents", "People who answer, and whether they are there."),
    ("Endpoints", "Addresses of yours that events are POSTed to."),
    ("Destinations", "All who can take an enquiry, in one list."),
    ("Media", "Files to be sent, uploaded once."),
    ("Events", "The public events as a feed."),
    ("Deliveries", "What was to reach an endpoint, and each attempt."),
    ("Dead letters", "What was set aside for a person."),
    ("Incoming", "Where third parties post; with a channel's incoming token."),
    ("API keys", "Keys of an account."),
    ("Accounts", "Tenants; for the instance's administrator."),
    ("Meta apps", "Who signs webhooks; for the instance's administrator."),
    ("Problems", "Every refusal, explained."),
)

_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "title": "Problem",
    "description": "Why something was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "errors"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/messaging-window-closed"]},
        "title": {"type": "string", "examples": ["The messaging window has lapsed"]},
        "status": {"type": "integer", "examples": [409]},
        "detail": {"type": "string", "description": "A sentence about this very case."},
        "instance": {"type": "string", "description": "The request's id, as in `X-Request-Id`."},
        "errors": {
            "type": "array",
            "description": "Which fields are at fault.",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "Into the body; or below `/query`, `/path`, `/header`.",
                        "examples": ["/routing/destinations/2"],
                    },
                    "code": {"type": "string", "examples": ["missing"]},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_PROBLEM: Final = {
    "description": "A problem; its `type` says which.",
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_IDEMPOTENCY_KEY: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Your name for this request: the same key and body give the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x20-\\x7e]+$"},
    "example": "order-17",
}
_OF_FASTAPI: Final = ("HTTPValidationError", "ValidationError")


def operation_id(route: APIRoute) -> str:
    """Return what an operation is called in generated clients."""
    return route.name


def describe(app: FastAPI) -> None:
    """Let an application's document say what all operations have in common."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())
        return plain()

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI's documentation has it


def _complete(document: dict[str, Any]) -> None:
    components = document["components"]
    schemas = {
        name: schema for name, schema in components["schemas"].items() if name not in _OF_FASTAPI
    }
    components["schemas"] = dict(sorted((schemas | {"Problem": _PROBLEM_SCHEMA}).items()))
    components["responses"] = {"Problem": _PROBLEM}
    components["parameters"] = {"IdempotencyKey": _IDEMPOTENCY_KEY}
    for method, operation in _operations(document):
        _complete_operation(method, operation)
    used = {tag for _, operation in _operations(document) for tag in operation.get("tags", ())}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS if name in used]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in document["paths"].values():
        yield from path.items()


def _complete_operation(method: str, operation: dict[str, Any]) -> None:
    named = operation["operationId"].replace("_", " ")
    if operation["summary"] == named.title():
        words = named.replace(" all ", " ").capitalize()
        operation["summary"] = words.replace(" api ", " API ").replace(" meta ", " Meta ")
    problem = {"$ref": "#/components/responses/Problem"}
    responses = {
        status: response
        for status, response in operation["responses"].items()
        if status not in ("405", "422")
    }
    operation["responses"] = {**responses, "default": problem}
    if method == "post" and any("ApiKey" in each for each in operation.get("security", ())):
        parameters = operation.setdefault("parameters", [])
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
