"""Delivery and read marks.

Shapes: Messenger Platform webhook events `message_deliveries`, `message_reads`, and Instagram's
`messaging_seen`, which names a message where Messenger has a watermark.
"""

from datetime import timedelta
from typing import Final

from gateway.contracts.canonical import Json
from gateway.contracts.moments import as_moment, rfc3339
from gateway.meta.fields import (
    as_id,
    as_members,
    bad_field,
    elements,
    optional_id,
    present,
    verbatim,
)
from gateway.meta.items import Fact, Item

# Meta's clock may be ahead of ours a little. A watermark far ahead would mark for ever.
_MAX_AHEAD: Final = timedelta(days=1)


def delivery(item: Item, value: Json) -> Fact:
    """Recognise that messages reached the contact; `mids` may be missing."""
    fields = as_members(value, "delivery")
    mids = {as_id(each) for each in elements(fields, "mids", "delivery")}
    if None in mids:
        raise bad_field("delivery.mids")
    message_ids = sorted(mid for mid in mids if mid is not None)
    watermark = _watermark(item, fields, "delivery")
    if watermark is None and not message_ids:
        raise bad_field("delivery.watermark")
    contact_id = item.contact_id()
    data = {"message_ids": message_ids} | present(watermark=watermark)
    unique = (contact_id, verbatim(fields.get("watermark")), *message_ids)
    return Fact("gateway.message.delivered.v1", data, contact_id, unique)


def read(item: Item, value: Json) -> Fact:
    """Recognise that the contact read a message, or all up to a moment."""
    fields = as_members(value, "read")
    mid = optional_id(fields, "mid", "read")
    watermark = _watermark(item, fields, "read")
    if watermark is None and mid is None:
        raise bad_field("read.watermark")
    contact_id = item.contact_id()
    data = present(message_id=mid, watermark=watermark)
    unique = (contact_id, verbatim(fields.get("watermark")), mid or "")
    return Fact("gateway.message.read.v1", data, contact_id, unique)


def _watermark(item: Item, fields: dict[str, Json], at: str) -> str | None:
    value = fields.get("watermark")
    if value is None:
        return None
    moment = as_moment(value)
    if moment is None or moment > item.arrival + _MAX_AHEAD:
        raise bad_field(f"{at}.watermark")
    return rfc3339(moment)
