"""An event as the ingress puts it on Kafka, before any database has seen it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

NO_CONTACT: Final = "-"
MAX_KEY_PART_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """One item that Meta or a third party posted, in our words.

    `name` is the name of the object that describes the item (`message`, `delivery`, …), `data` that
    object, and `original` the item as it came, so that it can be normalised again.
    """

    id: str
    type: str
    kind: str
    source_id: str
    contact_id: str
    occurred_at: datetime
    name: str
    data: dict[str, Any]
    original: Any
    meta_app_id: str | None = None
    standby: bool = False
    traceparent: str | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The Kafka key: everything of one contact of one source stays in order."""
        return inbound_key(self.kind, self.source_id, self.contact_id)

    def value(self) -> bytes:
        """Return the record's JSON value."""
        body: dict[str, Any] = {
            "kind": self.kind,
            "source_id": self.source_id,
            "contact_id": self.contact_id,
            "standby": self.standby,
            "occurred_at": rfc3339(self.occurred_at),
            self.name: self.data,
            "original": self.original,
        }
        if self.meta_app_id is not None:
            body["meta_app_id"] = self.meta_app_id
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def inbound_key(kind: str, source_id: str, contact_id: str) -> str:
    """Return `{kind}:{source id}:{contact id}`, ids percent-encoded and at most 255 bytes each."""
    return f"{kind}:{_key_part(source_id)}:{_key_part(contact_id)}"


def _key_part(value: str) -> str:
    if value.isascii() and value.isalnum() and len(value) <= MAX_KEY_PART_BYTES:
        return value
    return quote(value, safe="-._~", errors="surrogatepass")[:MAX_KEY_PART_BYTES]


def rfc3339(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
