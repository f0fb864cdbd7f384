"""The contact says something: a message, or a button that was pressed."""

from typing import Any, Final

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.first_contact import Known
from gateway.db.messages import Message
from gateway.domain import ids
from gateway.domain.conversation import ThreadOwner
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from gateway.messaging.inbound_media import want_media
from gateway.messaging.thread_ownership import keep_thread, owner_at
from gateway.messaging.transitions import announce_message
from routing.enquiry_effects import on_contact_message
from routing.inbound.arrivals import ANSWERED, BACKFILLED, Arrival
from routing.inbound.effects.thread_owner import note_owner
from routing.inbound.effects.window import open_window
from routing.inbound.scene import Scene

# Said elsewhere in the message's row or resource.
NOT_CONTENT: Final = frozenset(
    {"id", "contact", "app_id", "metadata", "prior_contact_id", BACKFILLED, ANSWERED}
)


async def receive_message(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Number a contact's message, store it, and let it open or continue an enquiry."""
    content = {k: v for k, v in arrival.event.data.items() if k not in NOT_CONTENT}
    await _speak(scene, channel, arrival, content, "gateway.message.received.v1")


async def receive_postback(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Take a pressed button for a message of the contact."""
    content = {k: v for k, v in arrival.event.data.items() if k not in NOT_CONTENT}
    await _speak(
        scene,
        channel,
        arrival,
        {"type": "postback", **content},
        "gateway.postback.received.v1",
        postback=content,
    )


async def _speak(
    scene: Scene,
    channel: Channel,
    arrival: Arrival,
    content: dict[str, Any],
    event_type: str,
    **further: Any,  # noqa: ANN401 - JSON values beside the message
) -> None:
    event = arrival.event
    if scene.message(channel, Direction.INBOUND, event.data.get("id")) is not None:
        # Meta sent the same message by another way: standby beside messaging, or batched anew.
        return
    known, conversation = await scene.meet(channel, arrival)
    scene.want_profile(channel, known, event.contact_id)
    late = is_late(conversation, arrival)
    replied = scene.named(channel, (event.data.get("reply_to") or {}).get("message_id"))
    message = Message(
        account_id=channel.account_id,
        id=ids.new_id(ids.MESSAGE),
        channel_id=channel.id,
        conversation_id=conversation.id,
        sequence=conversation.take_sequence(),
        direction=Direction.INBOUND,
        author_kind=AuthorKind.CONTACT,
        author_id=known.contact_id,
        author_name=known.name,
        content=content,
        status=MessageStatus.RECEIVED,
        reply_to=None if replied is None else replied.id,
        source_message_id=event.data.get("id"),
        occurred_at=event.occurred_at,
        accepted_at=scene.work.now,
        late=late or arrival.parked,
    )
    await want_media(scene.work, message, accepted=channel.inbound_media_types)
    first = conversation.last_inbound_at is None
    _note_action(scene, channel, conversation, arrival, late=late)
    message.enquiry_id = await _enquiry_of(
        scene, channel, arrival, conversation, known, message, first=first, late=late
    )
    scene.add(message)
    announce_message(
        scene.work,
        conversation,
        message,
        event_type,
        occurred_at=event.occurred_at,
        sequence=message.sequence,
        also_to=scene.listeners(message.enquiry_id),
        traceparent=event.traceparent,
        **further,
    )


async def _enquiry_of(
    scene: Scene,
    channel: Channel,
    arrival: Arrival,
    conversation: Conversation,
    known: Known,
    message: Message,
    *,
    first: bool,
    late: bool,
) -> str | None:
    # A blocked contact and a thread that another app holds are heard, and open nothing.
    if known.blocked or arrival.event.standby:
        return None
    enquiry_id = await on_contact_message(
        scene.hall,
        conversation,
        channel,
        message,
        # What somebody answered already, as was found out afterwards, moves nothing either.
        late=late or bool(arrival.event.data.get(ANSWERED)),
        parked=arrival.parked,
        first=first,
        enquiry=scene.enquiry(conversation),
    )
    scene.note_decided(enquiry_id)
    return enquiry_id


def is_late(conversation: Conversation, arrival: Arrival) -> bool:
    """Say whether an event is older than the contact's last message: it moves no enquiry."""
    last = conversation.last_inbound_at
    return last is not None and arrival.event.occurred_at < last


def _note_action(
    scene: Scene, channel: Channel, conversation: Conversation, arrival: Arrival, *, late: bool
) -> None:
    open_window(scene, channel, conversation, arrival)
    conversation.last_message_at = scene.work.now
    if not late:
        conversation.last_inbound_at = arrival.event.occurred_at
    owner = owner_at(conversation, arrival.event.occurred_at)
    if arrival.event.standby:
        # Somebody has it; a person who took it in the Page's inbox may be who.
        inbox = owner is ThreadOwner.PAGE_INBOX
        has_it = ThreadOwner.PAGE_INBOX if inbox else ThreadOwner.OTHER_APP
        note_owner(scene, conversation, has_it, arrival)
    elif owner is ThreadOwner.OTHER_APP:
        # What another app owned comes to us again.
        note_owner(scene, conversation, ThreadOwner.US, arrival)
    else:
        keep_thread(conversation, at=arrival.event.occurred_at)
