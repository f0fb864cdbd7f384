"""What a payload of the catalogue must become."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tests.support.bodies import ARRIVAL, EVENT_TIME, IGSID, INSTAGRAM, PAGE, PSID


@dataclass(frozen=True)
class Expected:
    """One event; by default of the usual contact of the usual Page at the usual time."""

    type: str
    data: dict[str, Any]
    contact_id: str = PSID
    source_id: str = PAGE
    kind: str = "messenger"
    standby: bool = False
    at: datetime = EVENT_TIME


def event(name: str, data: dict[str, Any], **changed: Any) -> Expected:
    """Expect `gateway.<name>.v1`."""
    return replace(Expected(f"gateway.{name}.v1", data), **changed)


def of_page(name: str, data: dict[str, Any], **changed: Any) -> Expected:
    """Expect an event that is of no contact."""
    return event(name, data, contact_id="-", **changed)


def said(text: str, mid: str | None = "m_one", **more: Any) -> Expected:
    """Expect a message that is but text, and perhaps more in its object."""
    data: dict[str, Any] = {"id": mid, "type": "text", "attachments": [], "text": text}
    return event("message.received", data | more)


def attached(*attachments: dict[str, Any], **more: Any) -> Expected:
    """Expect a message of the first attachment's type."""
    data = {"id": "m_one", "type": attachments[0]["type"], "attachments": [*attachments]}
    return event("message.received", data | more)


def echoed(text: str, **more: Any) -> Expected:
    data: dict[str, Any] = {"id": "m_echo", "type": "text", "attachments": [], "text": text}
    return event("message.echoed", data | more)


def unrecognised(reason: str, detail: str | None = None, **changed: Any) -> Expected:
    data = {"reason": reason} if detail is None else {"reason": reason, "detail": detail}
    return event("item.unrecognised", data, **changed)


def on_instagram(expected: Expected) -> Expected:
    contact_id = "-" if expected.contact_id == "-" else IGSID
    return replace(expected, kind="instagram", source_id=INSTAGRAM, contact_id=contact_id)


NOWHERE: dict[str, Any] = {"source_id": "-", "contact_id": "-", "at": ARRIVAL}
