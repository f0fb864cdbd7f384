"""What becomes of the media in a message from outside: fetched, already here, or left out.

An attachment that is a file carries `status`: `pending` while it is fetched (its `url` is the
source's, which dies), `ready` once it lies with us, or `unavailable`, and then says why in
`unavailable`. Other attachments, such as places and shared links, have none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.media import kind_of

KINDS: Final = frozenset({"image", "audio", "video", "file"})

_REASONS: Final = {
    "type-not-accepted": "The channel does not take attachments of this type.",
    "too-large": "The file is larger than the gateway keeps.",
    "type-not-supported": "The file is not what its type says.",
    "gone": "The file was not there any more.",
    "address-not-allowed": "The file's address is not one that the gateway may call.",
    "failed": "The file could not be fetched.",
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """The attachments of a message as it is stored, and the places of those to be fetched."""

    attachments: list[Any]
    wanted: list[int]


def take_in(attachments: Sequence[Any], *, accepted: Collection[str] = KINDS) -> Arrived:
    """Decide what becomes of each attachment; `accepted` are the types that the channel takes."""
    arrived = Arrived([], [])
    for place, attachment in enumerate(attachments):
        is_file = isinstance(attachment, Mapping) and attachment.get("type") in KINDS
        arrived.attachments.append(_take_in(attachment, accepted) if is_file else attachment)
        if is_file and is_pending(arrived.attachments, place):
            arrived.wanted.append(place)
    return arrived


def is_pending(attachments: object, place: int) -> bool:
    """Say whether the attachment at a place is still to be fetched."""
    if not isinstance(attachments, list) or place >= len(attachments):
        return False
    attachment = attachments[place]
    return isinstance(attachment, Mapping) and attachment.get("status") == "pending"


def any_pending(attachments: Sequence[Any]) -> bool:
    """Say whether any attachment is still to be fetched."""
    return any(is_pending(list(attachments), place) for place in range(len(attachments)))


def make_ready(attachment: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attachment whose file lies with us now; `described` tells of the file."""
    # The source's name of it is better than the one in its address.
    kept = {name: value for name, value in attachment.items() if name not in ("url", "status")}
    name = {"name": kept["name"]} if kept.get("name") else {}
    return {**kept, **described, **name, "status": "ready"}


def make_unavailable(attachment: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return an attachment whose file cannot be had, with the reason for a person."""
    known = reason if reason in _REASONS else "failed"
    return {
        **attachment,
        "status": "unavailable",
        "unavailable": {"reason": known, "detail": _REASONS[known]},
    }


def fits(kind: str, mime_type: str) -> bool:
    """Say whether a file of a type may be an attachment of a kind.

    Sounds come in the containers of films, and the other way round.
    """
    found = kind_of(mime_type)
    match kind:
        case "image":
            return found == "image"
        case "audio" | "video":
            return found in ("audio", "video")
        case _:
            return True


def _take_in(attachment: Mapping[str, Any], accepted: Collection[str]) -> dict[str, Any]:
    if attachment["type"] not in accepted:
        # Nobody shall fetch what the channel does not want.
        told = {k: v for k, v in attachment.items() if k not in ("url", "media_id")}
        return make_unavailable(told, "type-not-accepted")
    if attachment.get("media_id"):
        return {**attachment, "status": "ready"}
    if not attachment.get("url"):
        return make_unavailable(attachment, "gone")
    return {**attachment, "status": "pending"}
