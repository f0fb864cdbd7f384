"""The catalogue of payloads, and bodies made for one test."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.contracts.inbound import InboundEvent
from gateway.meta.normalise import Normalised, normalise

PAYLOADS = Path(__file__).parent / "payloads"
APP = "400500600700800"
PAGE = "106540352242922"
PSID = "7788990011223344"
INSTAGRAM = "17841400008460056"
IGSID = "5544332211009988"
EVENT_TIME = datetime(2026, 11, 21, 11, tzinfo=UTC)
EVENT_MS = 1795258800000
ARRIVAL = datetime(2026, 11, 21, 12, tzinfo=UTC)


def payload(path: str) -> bytes:
    """Return the file `<kind>/<name>` of the catalogue."""
    return (PAYLOADS / f"{path}.json").read_bytes()


def payload_names(folder: str) -> set[str]:
    return {path.stem for path in (PAYLOADS / folder).glob("*.json")}


def messaging_item(**members: Any) -> dict[str, Any]:
    """Return an item from the usual contact to the usual Page; None takes a member out."""
    item = {"sender": {"id": PSID}, "recipient": {"id": PAGE}, "timestamp": EVENT_MS} | members
    return {name: value for name, value in item.items() if value is not None}


def body_of(
    *items: Any, array: str = "messaging", object_: str = "page", **entry: Any
) -> dict[str, Any]:
    head = {"id": PAGE, "time": EVENT_MS} | entry
    return {"object": object_, "entry": [head | {array: list(items)}]}


def read(body: Any, *, app: str = APP, at: datetime = ARRIVAL) -> Normalised:
    """Normalise a body, given as bytes or as the document."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return normalise(raw, meta_app_id=app, received_at=at)


def one_event(body: Any, **changed: Any) -> InboundEvent:
    [event] = read(body, **changed).events
    return event
