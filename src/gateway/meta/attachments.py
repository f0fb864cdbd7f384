"""Attachments of messages: images, stickers, shared links, Reels, places and the like."""

from collections.abc import Callable
from typing import Final

from gateway.contracts.canonical import Json
from gateway.contracts.moments import moment_text
from gateway.meta.fields import (
    as_members,
    bad_field,
    loose_members,
    loose_text,
    optional_text,
    present,
)

STORY_MENTION: Final = "story_mention"
FALLBACK: Final = "fallback"

_AT: Final = "message.attachments"
_MAX_TYPE_CHARACTERS: Final = 64

# Meta has two words for some things; the contract has one.
_OUR_WORD: Final = {
    "ig_reel": "reel",
    "ig_post": "post",
    "appointment_booking": "appointment",
    "unsupported_type": "unsupported",
}


def attachment(value: Json) -> dict[str, Json]:
    """Return one attachment as the contract describes it.

    Raises:
        UnusableItemError: it is not an object with a type, or its address is not a text.
    """
    fields = as_members(value, _AT)
    kind = fields.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= _MAX_TYPE_CHARACTERS:
        raise bad_field(f"{_AT}.type")
    kind = _OUR_WORD.get(kind, kind)
    payload = loose_members(fields, "payload")
    url = optional_text(payload, "url", f"{_AT}.payload")
    if url is None:
        # Before v6.0, and in echoes still, a shared link stands beside the payload.
        url = optional_text(fields, "url", _AT)
    described: dict[str, Json] = {"type": kind}
    if url is not None:
        described["url"] = url
    described.update(_DETAILS.get(kind, _unknown)(fields, payload))
    return described


def appointment(booking: dict[str, Json]) -> dict[str, Json]:
    """Return a booking as the contract describes it; its times are moments, not counts."""
    return present(
        id=loose_text(booking, "booking_id"),
        status=loose_text(booking, "status"),
        starts_at=moment_text(booking.get("start_time")),
        ends_at=moment_text(booking.get("end_time")),
        time_zone=loose_text(booking, "timezone"),
    )


def _plain(_fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    return present(sticker_id=loose_text(payload, "sticker_id"))


def _fallback(fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    title = loose_text(payload, "title")
    return present(
        title=loose_text(fields, "title") if title is None else title,
        payload=None if payload else fields.get("payload"),
    )


def _reel(_fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    return present(
        title=loose_text(payload, "title"), video_id=loose_text(payload, "reel_video_id")
    )


def _post(_fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    return present(title=loose_text(payload, "title"), post_id=loose_text(payload, "id"))


def _appointment(_fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    return {"appointment": appointment(payload)}


def _location(fields: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    place = loose_members(payload, "coordinates")
    latitude, longitude = place.get("lat"), place.get("long")
    return present(
        title=loose_text(fields, "title"),
        latitude=latitude if type(latitude) in (int, float) else None,
        longitude=longitude if type(longitude) in (int, float) else None,
    )


def _unknown(fields: dict[str, Json], _payload: dict[str, Json]) -> dict[str, Json]:
    return present(title=loose_text(fields, "title"), payload=fields.get("payload"))


_DETAILS: Final[dict[str, Callable[[dict[str, Json], dict[str, Json]], dict[str, Json]]]] = {
    "image": _plain,
    "audio": _plain,
    "video": _plain,
    "file": _plain,
    "sticker": _plain,
    "share": _plain,
    STORY_MENTION: _plain,
    "ephemeral": _plain,
    "like_heart": _plain,
    "unsupported": _plain,
    FALLBACK: _fallback,
    "reel": _reel,
    "post": _post,
    "appointment": _appointment,
    "location": _location,
}
