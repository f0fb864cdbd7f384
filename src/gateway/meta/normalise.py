"""A webhook body of Meta's, whatever it holds, as inbound events: one for every item.

`plain` knows the form of most bodies, `reading` walks all others; what an item is, `recognise` and
`changes` know. Nothing raises: what cannot be understood becomes an event of type
`gateway.item.unrecognised.v1` that holds it as it came, and what has no item at all is counted.

Reasons of unrecognised items:

`bad-json`             the body is not a JSON object; the original is the body in base64
`entry-missing`        the object has no `entry`
`entry-not-an-array`, `entry-not-an-object`, `items-not-an-array`, `item-not-an-object`
`too-many-items`       the body has more than 10,000 items, ten times what Meta sends at most
`unknown-object`       the object is not `page`, `instagram` or `permissions`
`unknown-kind`         the item has no key that names a kind
`field-missing`        the change does not name its field
`bad-field`            a field of the item is missing or of another type; `detail` names it
`id-too-long`          an id has more than 512 characters; `detail` names it
`contact-missing`, `contact-is-source`, `source-missing`   nobody to whom the item could belong
`payment`, `checkout`, `game-play`, `message-request`, `lead`   known to Meta, without a type here
`unexpected`           a fault of ours; please report it
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.contracts.canonical import may_need_scrubbing, parse_json_noting_repeats
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.moments import whole_milliseconds
from gateway.errors import MalformedJsonError
from gateway.meta.plain import plain_message
from gateway.meta.reading import Reading

_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})


class Normalised(NamedTuple):
    """The events of a body in its order, and what gave none.

    `without_event` counts what held no item: `no-entries`, `entry-without-items`, `empty-array`,
    `changed-fields`. `oddities` counts what was read all the same: `repeated-keys` (objects in
    which a key stood twice; the last counted), `several-kinds` (items; the first kind counted).
    """

    events: list[InboundEvent]
    without_event: Mapping[str, int]
    oddities: Mapping[str, int]


def normalise(
    body: bytes, *, meta_app_id: str, received_at: datetime, traceparent: str | None = None
) -> Normalised:
    """Return the events of a body whose signature holds.

    `received_at` is the product's time of arrival, aware. The same body gives events with the same
    ids whenever it arrives.
    """
    arrival = whole_milliseconds(received_at)
    plain = plain_message(body, meta_app_id, arrival, traceparent)
    if plain is not None:
        return Normalised([plain], _NOTHING, _NOTHING)
    return walk(body, meta_app_id=meta_app_id, received_at=received_at, traceparent=traceparent)


def walk(
    body: bytes, *, meta_app_id: str, received_at: datetime, traceparent: str | None = None
) -> Normalised:
    """Do what `normalise` does, without looking whether the body is a plain message."""
    reading = Reading(meta_app_id, whole_milliseconds(received_at), traceparent)
    try:
        parsed = parse_json_noting_repeats(body)
    except MalformedJsonError as error:
        reading.read_bad_json(body, str(error.extra["reason"]))
    else:
        if isinstance(parsed.value, dict):
            reading.needs_scrubbing = may_need_scrubbing(body)
            reading.read(parsed.value)
        else:
            reading.read_bad_json(body, "not-an-object")
        if parsed.objects_with_repeated_keys:
            reading.oddities["repeated-keys"] = parsed.objects_with_repeated_keys
    return Normalised(reading.events, reading.without_event, reading.oddities)
