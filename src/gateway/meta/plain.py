"""The webhook of which there are most, read at once: one text message of one contact.

It is what `reading` makes of such a body, at a third of its time. What is not exactly of this form
is left to it: whatever decides about an odd body stands there alone.
"""

from datetime import datetime
from typing import Final

import orjson

from gateway.contracts.inbound import InboundEvent
from gateway.contracts.moments import as_moment
from gateway.domain.ids import event_id_of
from gateway.meta.fields import MAX_ID_CHARACTERS

_KIND_OF_OBJECT: Final = {"page": "messenger", "instagram": "instagram"}
_TYPE: Final = "gateway.message.received.v1"
_NO_ENTRY_ID: Final = "0"
# 13 keys and 6 texts.
_QUOTES: Final = 38


def plain_message(
    body: bytes, meta_app_id: str, arrival: datetime, traceparent: str | None
) -> InboundEvent | None:
    """Return the event of a body that is one message with an id and a text, and nothing else.

    None: it is something else, or perhaps is. `arrival` is in UTC, in whole milliseconds.
    """
    # Where no text holds a quote, each quote begins or ends a key or a text. As the form below has
    # as many as there are, the body has no other key, and none that stands twice; and nothing in it
    # has to be replaced, as orjson refuses lone surrogates.
    if body.count(b'"') != _QUOTES or b'\\"' in body or b"\\u0000" in body:
        return None
    try:
        parsed = orjson.loads(body)
        kind = _KIND_OF_OBJECT[parsed["object"]]
        [entry] = parsed["entry"]
        [item] = entry["messaging"]
        sender_id, recipient_id = item["sender"]["id"], item["recipient"]["id"]
        mid, text = item["message"]["mid"], item["message"]["text"]
        source_id, timestamp, entry_time = entry["id"], item["timestamp"], entry["time"]
    except (ValueError, LookupError, TypeError):
        # orjson's refusal is a ValueError.
        return None
    if (
        not (type(sender_id) is type(recipient_id) is type(source_id) is type(mid) is str)
        or type(text) is not str
        or not (type(timestamp) is type(entry_time) is int)
        or not 0 < len(sender_id) <= MAX_ID_CHARACTERS
        or not 0 < len(source_id) <= MAX_ID_CHARACTERS
        or not 0 < len(mid) <= MAX_ID_CHARACTERS
        or source_id in (sender_id, _NO_ENTRY_ID)
    ):
        return None
    moment = as_moment(timestamp)
    if moment is None:
        return None
    return InboundEvent(
        event_id_of(mid, meta_app_id, kind, source_id, "", _TYPE),
        _TYPE,
        kind,
        source_id,
        sender_id,
        min(moment, arrival),
        "message",
        {"id": mid, "type": "text", "attachments": [], "text": text},
        item,
        meta_app_id,
        False,  # noqa: FBT003 - names cost a tenth of the whole
        traceparent,
    )
