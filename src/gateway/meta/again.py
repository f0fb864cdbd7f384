"""Puts an item that was normalised before into words once more."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from gateway.contracts.inbound import InboundEvent
from gateway.contracts.moments import whole_milliseconds
from gateway.meta.reading import Reading

if TYPE_CHECKING:
    from gateway.contracts.canonical import Json

_OBJECTS: Final = {"messenger": "page", "instagram": "instagram"}


def normalise_again(event: InboundEvent, *, arrived_at: datetime) -> InboundEvent | None:
    """Return what one of Meta's items is by this release's words; None: it is not one of theirs.

    The entry around it is not kept, so where an item has no time of its own, its time and its id
    may be others now.
    """
    name = _OBJECTS.get(event.kind)
    if name is None:
        return None
    entry: dict[str, Json] = {"id": event.source_id, _array(event): [event.original]}
    reading = Reading(
        event.meta_app_id or "", whole_milliseconds(arrived_at), None, needs_scrubbing=True
    )
    reading.read({"object": name, "entry": [entry]})
    return reading.events[0]


def _array(event: InboundEvent) -> str:
    original = event.original
    if isinstance(original, dict) and "field" in original and "sender" not in original:
        return "changes"
    return "standby" if event.standby else "messaging"
