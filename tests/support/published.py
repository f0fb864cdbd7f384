"""Checks of what the gateway publishes against what its documents promise."""

import json
from dataclasses import fields
from functools import cache
from typing import Any, Final

import jsonschema_rs
import yaml
from pydantic import BaseModel
from scripts import contracts
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.topics import CONVERSATIONS
from gateway.contracts.webhooks import webhook_body
from gateway.db.publishing import COLUMNS, CommittedEvent, UnpublishedEvent
from gateway.relay import _record

KAFKA: Final = "events.v1.yaml"
WEBHOOKS: Final = "webhooks.v1.yaml"
REST: Final = "gateway.v1.yaml"


@cache
def generated(name: str) -> dict[str, Any]:
    """Return a document as the code says it; not to be changed."""
    return contracts.DOCUMENTS[name]()


@cache
def committed(name: str) -> dict[str, Any]:
    """Return a document as its file says it; not to be changed."""
    text = (contracts.ROOT / "openapi" / name).read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def follow(document: dict[str, Any], reference: str) -> Any:
    """Return what a reference within a document names."""
    assert reference.startswith("#/"), reference
    place: Any = document
    for part in reference.removeprefix("#/").split("/"):
        place = place[part.replace("~1", "/").replace("~0", "~")]
    return place


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Return what validates values of a schema that refers to its document."""
    whole = schema | {"components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def faults(checked: jsonschema_rs.Validator, value: Any) -> list[str]:
    """Return what is wrong with a value, and where."""
    return [f"{list(each.instance_path)}: {each.message}" for each in checked.iter_errors(value)]


def undescribed(value: Any, path: str = "") -> list[str]:
    """Return the fields of a model that the contract does not describe, at any depth."""
    if isinstance(value, list):
        return [each for item in value for each in undescribed(item, f"{path}[]")]
    if not isinstance(value, BaseModel):
        return []
    found = [f"{path}/{name}" for name in value.model_extra or ()]
    for name in type(value).model_fields:
        found += undescribed(getattr(value, name), f"{path}/{name}")
    return found


def check_public_event(type_: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    """Fail unless a record of the public topic is what the published contract says."""
    checked = _validators()[type_]
    _refuse(type_, faults(checked["payload"], body))
    _refuse(type_, faults(checked["headers"], headers))
    _refuse(type_, undescribed(PUBLIC_TYPES[type_].model_validate(body)))


def check_webhook(type_: str, body: dict[str, Any]) -> None:
    """Fail unless a webhook's body is what the published contract says."""
    document = generated(WEBHOOKS)
    content = document["webhooks"][type_]["post"]["requestBody"]["content"]
    checked = validator(document, content["application/json"]["schema"])
    _refuse(type_, faults(checked, body))


async def checked_types(engine: AsyncEngine) -> set[str]:
    """Check every event that was written, as a record and as a webhook; return their types."""
    async with engine.connect() as connection:
        rows = (await connection.execute(text(f"SELECT {COLUMNS} FROM events"))).mappings().all()
    for row in rows:
        event = CommittedEvent(**row)
        names = [each.name for each in fields(UnpublishedEvent)]
        as_text = {name: row[name] for name in names} | {"data": json.dumps(row["data"])}
        record = _record(UnpublishedEvent(**as_text))
        headers = {name: value.decode() for name, value in record.headers}
        assert record.value is not None
        check_public_event(event.type, json.loads(record.value), headers)
        body = webhook_body(
            event.type,
            timestamp=event.occurred_at,
            sequence=event.sequence,
            data=event.data,
            account_id=event.account_id,
            channel_id=event.channel_id,
            conversation_id=event.conversation_id,
            enquiry_id=event.enquiry_id,
        )
        check_webhook(event.type, json.loads(body))
    return {row["type"] for row in rows}


def _refuse(type_: str, found: list[str]) -> None:
    assert not found, f"{type_}: {'; '.join(found)}"


@cache
def _validators() -> dict[str, dict[str, jsonschema_rs.Validator]]:
    document = generated(KAFKA)
    messages = document["channels"][CONVERSATIONS]["messages"]
    return {
        type_: {part: validator(document, message[part]) for part in ("payload", "headers")}
        for type_, message in messages.items()
    }
