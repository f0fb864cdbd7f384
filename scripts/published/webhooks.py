"""The OpenAPI document of what we POST: events to endpoints, messages to third parties."""

from collections.abc import Mapping
from typing import Any, Final

from scripts.published.examples import EVENT_ID, Example, webhook_example
from scripts.published.schemas import Schema, components, paragraphs, ref

from gateway import __version__
from gateway.contracts.event_values import (
    ChannelEvent,
    ConversationEvent,
    EnquiryEvent,
    PublicEvent,
)
from gateway.contracts.events import PUBLIC_TYPES, told_by
from gateway.contracts.inline_answers import CAUSED_BY_CONTACTS, InlineAnswer
from gateway.contracts.outgoing_webhooks import (
    Challenge,
    ChallengeMet,
    ChallengeMetInResult,
    MessageSend,
    MessageTaken,
)
from gateway.contracts.webhooks import MESSAGE_SEND
from gateway.domain.endpoint_health import FAILING_LIMIT
from gateway.settings import Settings

_ABOUT: Final = """\
What the gateway POSTs: public events to endpoints, messages to the outgoing webhooks of third-party
channels, and the challenge to both before they get anything.

**Verify each request** by [Standard Webhooks](https://www.standardwebhooks.com): the signature is
the base64 of HMAC-SHA256, under the secret without its `whsec_` and decoded from base64, of
`{webhook-id}.{webhook-timestamp}.{body}`. While a secret is rotated there are two signatures, apart
by a space: one right one is enough. Refuse timestamps that are more than five minutes off. An
endpoint may ask for a bearer token, basic authentication or a header of its own besides.

**Answer** with any 2xx within ten seconds, and do the work afterwards. Whatever else comes back is
tried again, each try a little earlier or later than this after the one before:
%(schedule)s.
`webhook-id` stays the same: drop what you have seen. After the last try the delivery is a dead
letter. 410 disables an endpoint at once, %(limit)s days of nothing but failures do it too, and
after one of them `gateway.endpoint.failing.v1` warns of it; what is disabled is kept, and leaves in
order when the endpoint is resumed. `Retry-After` is heeded: until then nothing is sent.

**Order**: events of a conversation come one after another, unless the endpoint is set otherwise or
one of them has failed for longer than `lane_hold_seconds`.

Accept fields and types that you do not know: within a version, the contract only grows.
"""
_SCOPES: Final[tuple[type[PublicEvent[Any]], ...]] = (
    EnquiryEvent,
    ConversationEvent,
    ChannelEvent,
    PublicEvent,
)
_EVENT_ANSWERS: Final = {
    "2XX": {"description": "Taken. The body is not looked at."},
    "410": {"$ref": "#/components/responses/Gone"},
    "429": {"$ref": "#/components/responses/Later"},
    "503": {"$ref": "#/components/responses/Later"},
    "default": {"$ref": "#/components/responses/Again"},
}


_SPOKEN: Final = {
    "200": {
        "description": " ".join((InlineAnswer.__doc__ or "").split()),
        "content": {
            "application/json": {
                "schema": ref(InlineAnswer.__name__),
                "example": {"messages": [{"type": "text", "text": "We are open until six."}]},
            }
        },
    }
}


def webhooks_document() -> dict[str, Any]:
    """Return the document."""
    told = {told_by(type_).__name__: told_by(type_) for type_ in PUBLIC_TYPES}
    others = (
        MessageSend,
        MessageTaken,
        InlineAnswer,
        Challenge,
        ChallengeMet,
        ChallengeMetInResult,
    )
    schemas = components({**told, **{model.__name__: model for model in others}})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Channel gateway: webhooks",
            "version": __version__,
            "description": _ABOUT % {"schedule": _schedule(), "limit": FAILING_LIMIT.days},
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "Events", "description": "To endpoints that subscribed to them."},
            {"name": "Messages", "description": "To third-party channels."},
            {"name": "Challenge", "description": "To both, before anything else."},
        ],
        "security": [{"signature": []}],
        "webhooks": {
            "challenge": {"post": _challenge()},
            MESSAGE_SEND: {"post": _message_send()},
            **{type_: {"post": _event(type_)} for type_ in PUBLIC_TYPES},
        },
        "components": {
            "parameters": _PARAMETERS,
            "responses": _RESPONSES,
            "schemas": {**{_ids_name(scope): _ids(scope) for scope in _SCOPES}, **schemas},
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "Standard Webhooks, symmetric: `v1,` and the base64 of the "
                    "HMAC-SHA256, for each secret that is valid.",
                }
            },
        },
    }


def _schedule() -> str:
    """Return the waits between attempts that an operator gets who says nothing."""
    waits: tuple[int, ...] = Settings.model_fields["endpoint_retry_seconds"].default
    return ", ".join(_duration(seconds) for seconds in waits)


def _duration(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _scope(type_: str) -> type[PublicEvent[Any]]:
    return next(scope for scope in _SCOPES if issubclass(PUBLIC_TYPES[type_], scope))


def _ids_name(scope: type[PublicEvent[Any]]) -> str:
    return scope.__name__.replace("Event", "Ids")


def _ids(scope: type[PublicEvent[Any]]) -> Schema:
    """Return what `data` has beside what is told: whose event it is."""
    example = next(PUBLIC_TYPES[type_] for type_ in PUBLIC_TYPES if _scope(type_) is scope)
    whole = components({"Event": example})["Event"]
    properties = {name: each for name, each in whole["properties"].items() if name != "data"}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _event(type_: str) -> dict[str, Any]:
    model = told_by(type_)
    summary, description = paragraphs(model)
    return {
        "operationId": type_,
        "tags": ["Events"],
        "summary": summary,
        **({} if description == summary else {"description": description}),
        "parameters": _HEADERS,
        "requestBody": _body(_envelope(type_, _ids_name(_scope(type_)), model.__name__), type_),
        "responses": (_SPOKEN if type_ in CAUSED_BY_CONTACTS else {}) | _EVENT_ANSWERS,
    }


def _message_send() -> dict[str, Any]:
    summary, description = paragraphs(MessageSend)
    return {
        "operationId": MESSAGE_SEND,
        "tags": ["Messages"],
        "summary": summary,
        "description": description,
        "parameters": _HEADERS,
        "requestBody": _body(
            _envelope(MESSAGE_SEND, _ids_name(ConversationEvent), MessageSend.__name__),
            MESSAGE_SEND,
        ),
        "responses": {
            "2XX": {
                "description": "Taken; the message counts as sent.",
                "content": _json(ref(MessageTaken.__name__), {"message_id": "m-20481"}),
            },
            "410": {"description": "Never to be taken: the message has failed."},
            "429": {"$ref": "#/components/responses/Later"},
            "503": {"$ref": "#/components/responses/Later"},
            "default": {
                "description": "Not taken: the message is tried again until the channel's "
                "`send_deadline_seconds` are over, then it has failed."
            },
        },
    }


def _challenge() -> dict[str, Any]:
    summary, description = paragraphs(Challenge)
    value = "vH3mTq0mW1lq5kq1o0Q0lZr1k0V0m3yq0C9bq6n3d2E"
    right = {
        "oneOf": [
            {"type": "string", "description": "The bare value."},
            ref(ChallengeMet.__name__),
            ref(ChallengeMetInResult.__name__),
        ]
    }
    return {
        "operationId": "challenge",
        "tags": ["Challenge"],
        "summary": summary,
        **({} if description == summary else {"description": description}),
        "parameters": _SIGNATURE_HEADERS,
        "requestBody": {
            "required": True,
            "content": _json(ref(Challenge.__name__), {"type": "challenge", "challenge": value}),
        },
        "responses": {
            "200": {
                "description": "The value, at most 4 KiB, within ten seconds and without a "
                "redirect.",
                "content": {
                    "text/plain": {"schema": {"type": "string"}, "example": value},
                    **_json(right, {"challenge": value}),
                },
            },
            "default": {"description": "The address is refused: `challenge-failed`."},
        },
    }


def _envelope(type_: str, ids: str, told: str) -> Schema:
    return {
        "type": "object",
        "required": ["type", "timestamp", "sequence", "data"],
        "properties": {
            "type": {"const": type_},
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]+$",
                "description": "Orders the events of a conversation, or of the account.",
            },
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened: RFC 3339, UTC, milliseconds.",
            },
            "data": {"allOf": [ref(ids), ref(told)]},
        },
    }


def _body(schema: Schema, type_: str) -> dict[str, Any]:
    return {"required": True, "content": _json(schema, webhook_example(type_))}


def _json(schema: Schema, example: Example) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "example": example}}


def _header(name: str, description: str, schema: Schema, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


_PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "webhook-id": _header(
        "webhook-id",
        "The event's id; messages and challenges have one of their own in the same form. The same "
        "on each try.",
        {"type": "string"},
        EVENT_ID,
    ),
    "webhook-timestamp": _header(
        "webhook-timestamp",
        "When this try was made: seconds since 1970.",
        {"type": "string", "pattern": "^[0-9]+$"},
        "1795258841",
    ),
    "webhook-signature": _header(
        "webhook-signature",
        "One signature for each secret that is valid, apart by spaces.",
        {"type": "string", "pattern": "^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$"},
        "v1,dGhpcyBpcyBub3QgYSByZWFsIHNpZ25hdHVyZSEhISE=",
    ),
    "X-Gateway-Attempt": _header(
        "X-Gateway-Attempt",
        "Which try this is, from 1.",
        {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "1",
    ),
}
_SIGNATURE_HEADERS: Final = [
    {"$ref": f"#/components/parameters/{name}"}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
]
_HEADERS: Final = [
    *_SIGNATURE_HEADERS,
    {"$ref": "#/components/parameters/X-Gateway-Attempt"},
]
_RESPONSES: Final = {
    "Gone": {
        "description": "The endpoint is disabled at once and the delivery has failed; later ones "
        "are kept until the endpoint is resumed."
    },
    "Later": {
        "description": "Too much at the moment: nothing is sent there for as long as `Retry-After` "
        "says, and then this again.",
        "headers": {
            "Retry-After": {
                "description": "Seconds, or an HTTP date.",
                "schema": {"type": "string"},
            }
        },
    },
    "Again": {"description": "Not taken: it is tried again on the schedule."},
}
