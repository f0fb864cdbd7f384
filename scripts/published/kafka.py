"""The AsyncAPI document: what is on the Kafka topics."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from scripts.published.examples import (
    Example,
    dead_letter_example,
    inbound_example,
    public_example,
)
from scripts.published.schemas import Schema, components, paragraphs, ref

from gateway import __version__
from gateway.contracts.envelope import CONTENT_TYPE, SPEC_VERSION
from gateway.contracts.events import PUBLIC_TYPES, told_by
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.topics import CONVERSATIONS, DEAD_LETTERS, INBOUND

_ABOUT: Final = """\
What the gateway puts on Kafka, for the operator's own trusted services. Tenants read the same
public events as webhooks (`webhooks.v1.yaml`) and from the events feed (`gateway.v1.yaml`).

Records are CloudEvents 1.0 in binary mode: attributes in `ce_*` headers, JSON in the value. A
record may come twice with the same `ce_id`: drop what you have seen. Records with the same key are
in order. Accept fields and types that you do not know: within a version, the contract only grows.
"""
_INBOUND: Final = """\
Each item that Meta or a third party posted, in our words and as it came (`original`), from the
ingress, before any database has seen it. `ce_id` is derived from the item: the same item has the
same id however often it is posted.
"""
_CONVERSATIONS: Final = """\
The public events: what became of messages, enquiries, conversations, contacts, channels and
endpoints. `ce_sequence` orders those of one conversation, and those of one account that belong to
no conversation.
"""
_DEAD_LETTERS: Final = """\
Copies of what was set aside for a person; the REST resource `dead-letters` is the truth. A copy has
the key, headers and value of the original record, and headers that say why. From the stage
`sender` it is the body of a webhook that could not be delivered.
"""
_BINDING_VERSION: Final = "0.5.0"


def kafka_document() -> dict[str, Any]:
    """Return the document."""
    inbound = {f"Inbound{known.model.__name__}": known.model for known in INBOUND_TYPES.values()}
    public = {model.__name__: model for model in PUBLIC_TYPES.values()}
    schemas = components({**inbound, **public})
    for type_, model in PUBLIC_TYPES.items():
        schemas[model.__name__] = {
            "description": paragraphs(told_by(type_))[1],
            **schemas[model.__name__],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Channel gateway: events",
            "version": __version__,
            "description": _ABOUT,
            "license": {
                "name": "Apache 2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0.html",
            },
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap_servers}",
                "protocol": "kafka",
                "variables": {
                    "bootstrap_servers": {
                        "default": "localhost:9092",
                        "description": "As in KAFKA_BOOTSTRAP_SERVERS of the gateway.",
                    }
                },
            }
        },
        "channels": {
            INBOUND: _channel(
                INBOUND,
                _INBOUND,
                {
                    type_: _message(
                        type_,
                        known.model,
                        payload=ref(f"Inbound{known.model.__name__}"),
                        kind="Inbound",
                        example=inbound_example(type_),
                    )
                    for type_, known in INBOUND_TYPES.items()
                },
            ),
            CONVERSATIONS: _channel(
                CONVERSATIONS,
                _CONVERSATIONS,
                {
                    type_: _message(
                        type_,
                        told_by(type_),
                        payload=ref(model.__name__),
                        kind="Public",
                        example=public_example(type_),
                    )
                    for type_, model in PUBLIC_TYPES.items()
                },
            ),
            DEAD_LETTERS: _channel(DEAD_LETTERS, _DEAD_LETTERS, {"deadLetter": _dead_letter()}),
        },
        "operations": {
            "publishInboundEvents": _operation(INBOUND, INBOUND_TYPES),
            "publishPublicEvents": _operation(CONVERSATIONS, PUBLIC_TYPES),
            "setAside": _operation(DEAD_LETTERS, ["deadLetter"]),
        },
        "components": {
            "messageTraits": {
                "Inbound": _trait(
                    "`{kind}:{source id}:{contact id}`, ids percent-encoded; `-` where there is no "
                    "contact.",
                    ["messenger:106540352242922:7788990011223344"],
                ),
                "Public": _trait(
                    "The conversation's id; the account's where no conversation is concerned.",
                    ["cnv_01kb2x5h8ve0xrn1y2z3a4b5c6", "acc_01kb2x5h8ve0xrn1y2z3a4b5c6"],
                ),
            },
            "schemas": {
                "InboundHeaders": _INBOUND_HEADERS,
                "PublicHeaders": _PUBLIC_HEADERS,
                "DeadLetterHeaders": _DEAD_LETTER_HEADERS,
                **schemas,
            },
        },
    }


def _text(description: str, **further: Any) -> Schema:  # noqa: ANN401 - JSON Schema
    return {"type": "string", "description": description, **further}


def _headers(own: dict[str, Schema], *, optional: Iterable[str] = ("ce_traceparent",)) -> Schema:
    properties = {
        "ce_specversion": {"const": SPEC_VERSION},
        "ce_id": _text(
            "The event's id, the same on each repeat.",
            pattern="^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        ),
        "ce_type": _text("The type of the event, with its version."),
        "ce_time": _text("When it happened: RFC 3339, UTC, milliseconds.", format="date-time"),
        "ce_partitionkey": _text("The record's key."),
        "content-type": {"const": CONTENT_TYPE},
        "ce_traceparent": _text("W3C trace context of what led to the event, where it is traced."),
        **own,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties.keys() - set(optional)),
    }


_INBOUND_HEADERS: Final = _headers(
    {
        "ce_source": _text(
            "`/channels/{kind}/{source id}`.",
            format="uri-reference",
            examples=["/channels/messenger/106540352242922"],
        ),
        "ce_subject": _text("The record's key."),
        "ce_normaliserversion": _text(
            "By which rules the item was put in our words; ids do not depend on it."
        ),
    }
)
_PUBLIC_HEADERS: Final = _headers(
    {
        "ce_source": _text(
            "`/accounts/{account id}`.",
            format="uri-reference",
            examples=["/accounts/acc_01kb2x5h8ve0xrn1y2z3a4b5c6"],
        ),
        "ce_subject": _text("The conversation's id, or the account's."),
        "ce_sequence": _text(
            "Its place among the events of the same key: a whole number that only rises, with "
            "gaps.",
            pattern="^[0-9]+$",
        ),
    }
)
_DEAD_LETTER_HEADERS: Final[Schema] = {
    "type": "object",
    "description": "Besides these, the headers of the original record.",
    "properties": {
        "dead_letter_id": _text(
            "Its id in the REST API.", pattern="^dlt_[0-7][0-9a-hjkmnp-tv-z]{25}$"
        ),
        "reason": _text(
            "Why it was set aside.",
            examples=[
                "foreign-app",
                "id-conflict",
                "parked-expired",
                "poison",
                "delivery-exhausted",
            ],
        ),
        "stage": _text("Where it was set aside.", enum=["ingress", "routing", "sender"]),
        "attempts": _text("How often it was tried.", pattern="^[0-9]+$"),
    },
    "required": ["attempts", "dead_letter_id", "reason", "stage"],
}


def _channel(topic: str, about: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": about,
        "messages": messages,
        "bindings": {"kafka": {"topic": topic, "bindingVersion": _BINDING_VERSION}},
    }


def _message(
    type_: str, model: type[BaseModel], *, payload: Schema, kind: str, example: Example
) -> dict[str, Any]:
    summary, description = paragraphs(model)
    return {
        "name": type_,
        "title": type_,
        "summary": summary,
        **({} if description == summary else {"description": description}),
        "headers": {
            "allOf": [ref(f"{kind}Headers"), {"properties": {"ce_type": {"const": type_}}}]
        },
        "payload": payload,
        "traits": [{"$ref": f"#/components/messageTraits/{kind}"}],
        "examples": [{"name": "example", **example}],
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "name": "deadLetter",
        "title": "Dead letter",
        "summary": "A record, or the body of a webhook, that could not be done.",
        "headers": ref("DeadLetterHeaders"),
        "payload": {"description": "As it was: perhaps not JSON, perhaps nothing at all."},
        "bindings": _key(
            "The key of the original record; the dead letter's id where it had none.",
            ["messenger:106540352242922:7788990011223344"],
        ),
        "examples": [{"name": "example", **dead_letter_example()}],
    }


def _trait(key: str, examples: list[str]) -> dict[str, Any]:
    return {"contentType": CONTENT_TYPE, "bindings": _key(key, examples)}


def _key(description: str, examples: list[str]) -> dict[str, Any]:
    key = _text(description, examples=examples)
    return {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}}


def _operation(topic: str, messages: Iterable[str]) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
    }
