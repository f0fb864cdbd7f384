"""What a third party posts, as inbound events: the same contract as Messenger's.

The bodies have been validated (`api` of the incoming calls). A message is known by the sender's own
id for it, so that a repeat is one event; typing and profiles are new events on each request.
"""

from datetime import datetime
from typing import Final

from gateway.contracts.canonical import Json, scrub
from gateway.contracts.inbound import NO_CONTACT, InboundEvent
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.moments import as_moment, whole_milliseconds
from gateway.domain.ids import EVENT, event_id, new_id

THIRD_PARTY: Final = "third_party"

_PROFILE: Final = (
    "id",
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "avatar_url",
    "locale",
    "attributes",
)
_MEDIA: Final = ("url", "media_id", "mime_type", "name")
_PLACE: Final = ("latitude", "longitude", "name")


def message_event(
    channel_id: str,
    item: dict[str, Json],
    received_at: datetime,
    *,
    traceparent: str | None = None,
) -> InboundEvent:
    """Return the event of one message; a postback is one of these too.

    `item` has `id`, `contact` (with its `id`) and `type`, and what the type needs: `text`, `url`
    or `media_id` with `mime_type` and `name`, `latitude` and `longitude`, `payload`; perhaps
    `reply_to` (a message id) and `timestamp`.
    """
    fields = scrub(item)
    contact = _only(fields["contact"], _PROFILE)
    if fields["type"] == "postback":
        event = "gateway.postback.received.v1"
        data = {"id": fields["id"], "contact": contact} | _only(fields, ("payload",))
        if fields.get("text") is not None:
            data["title"] = fields["text"]
    else:
        event = "gateway.message.received.v1"
        data = _message(fields) | {"contact": contact}
    return _event(
        channel_id,
        event,
        item,
        received_at,
        id_=_derived_id(channel_id, event, fields["id"]),
        contact_id=contact["id"],
        data=data,
        traceparent=traceparent,
    )


def status_event(
    channel_id: str,
    item: dict[str, Json],
    received_at: datetime,
    *,
    traceparent: str | None = None,
) -> InboundEvent:
    """Return the event of one report on a message that we sent.

    `item` has `message_id` (ours or theirs) and `status`, and perhaps `timestamp` and `error`. It
    does not name the contact, so it is an event of the source.
    """
    fields = scrub(item)
    event = "gateway.status.reported.v1"
    return _event(
        channel_id,
        event,
        item,
        received_at,
        id_=_derived_id(channel_id, event, fields["message_id"], fields["status"]),
        contact_id=NO_CONTACT,
        data=_only(fields, ("message_id", "status", "error")),
        traceparent=traceparent,
    )


def typing_event(
    channel_id: str,
    item: dict[str, Json],
    received_at: datetime,
    *,
    traceparent: str | None = None,
) -> InboundEvent:
    """Return the event that a contact began or stopped typing.

    `item` has `contact_id`, and `state`, `on` or `off`.
    """
    fields = scrub(item)
    return _event(
        channel_id,
        "gateway.typing.changed.v1",
        item,
        received_at,
        id_=new_id(EVENT),
        contact_id=fields["contact_id"],
        data=_only(fields, ("state",)),
        traceparent=traceparent,
    )


def contact_event(
    channel_id: str,
    item: dict[str, Json],
    received_at: datetime,
    *,
    traceparent: str | None = None,
) -> InboundEvent:
    """Return the event of what a third party tells about a contact.

    `item` has the contact's `id` (from the path) and fields of the profile.
    """
    fields = scrub(item)
    return _event(
        channel_id,
        "gateway.contact.updated.v1",
        item,
        received_at,
        id_=new_id(EVENT),
        contact_id=fields["id"],
        data=_only(fields, _PROFILE),
        traceparent=traceparent,
    )


def _message(fields: dict[str, Json]) -> dict[str, Json]:
    data: dict[str, Json] = {
        "id": fields["id"],
        "type": fields["type"],
        "attachments": _attachments(fields),
    }
    data |= _only(fields, ("text",))
    if fields.get("reply_to") is not None:
        data["reply_to"] = {"message_id": fields["reply_to"]}
    return data


def _attachments(fields: dict[str, Json]) -> list[dict[str, Json]]:
    if fields["type"] == "text":
        return []
    names = _PLACE if fields["type"] == "location" else _MEDIA
    return [{"type": fields["type"]} | _only(fields, names)]


def _only(fields: dict[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _derived_id(channel_id: str, event: str, *unique: str) -> str:
    # The first part is Meta's app for others; the channel stands for it here, and is the source.
    return event_id((channel_id, THIRD_PARTY, channel_id, "", event, *unique))


def _event(
    channel_id: str,
    event: str,
    item: dict[str, Json],
    received_at: datetime,
    *,
    id_: str,
    contact_id: str,
    data: dict[str, Json],
    traceparent: str | None,
) -> InboundEvent:
    arrival = whole_milliseconds(received_at)
    moment = as_moment(item.get("timestamp"))
    return InboundEvent(
        id=id_,
        type=event,
        kind=THIRD_PARTY,
        source_id=channel_id,
        contact_id=contact_id,
        occurred_at=arrival if moment is None else min(moment, arrival),
        name=INBOUND_TYPES[event].name,
        data=data,
        original=item,
        traceparent=traceparent,
    )
