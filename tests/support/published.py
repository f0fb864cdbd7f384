"""Checks of what the gateway publishes against what its documents promise."""

from functools import cache
from typing import Any, Final

import jsonschema_rs
import yaml
from pydantic import BaseModel
from scripts import contracts

from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.topics import CONVERSATIONS

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
    assert not faults(checked["payload"], body), (type_, body)
    assert not faults(checked["headers"], headers), (type_, headers)
    assert not undescribed(PUBLIC_TYPES[type_].model_validate(body)), (type_, body)


@cache
def _validators() -> dict[str, dict[str, jsonschema_rs.Validator]]:
    document = generated(KAFKA)
    messages = document["channels"][CONVERSATIONS]["messages"]
    return {
        type_: {part: validator(document, message[part]) for part in ("payload", "headers")}
        for type_, message in messages.items()
    }
