"""Something was sent from our side: by us, or by other hands."""

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.messages import Message
from gateway.domain import ids
from gateway.domain.conversation import ThreadOwner, owner_named
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from gateway.messaging.inbound_media import want_media
from gateway.messaging.resources import content_on_the_wire
from gateway.messaging.settlement import (
    find_unclear,
    settle_from_conversation,
    settle_from_echo,
)
from gateway.messaging.thread_ownership import owner_at
from gateway.messaging.transitions import announce_message, catch_up_marks
from routing.enquiry_effects import on_page_inbox_message
from routing.inbound.arrivals import BACKFILLED, Arrival
from routing.inbound.effects.speaking import NOT_CONTENT, is_late
from routing.inbound.effects.thread_owner import note_owner
from routing.inbound.scene import Scene


async def receive_echo(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Learn what became of a message of ours, or that somebody else answered."""
    data = arrival.event.data
    if data.get(BACKFILLED):
        await _receive_past(scene, channel, arrival)
        return
    if data.get("app_id") == channel.meta_app_id and channel.meta_app_id is not None:
        attempt = arrival.own_attempt()
        if attempt is not None:
            await _settle(scene, channel, arrival, *attempt)
            return
        known = scene.message(channel, Direction.OUTBOUND, data.get("id"))
        if known is not None:
            return
    await _other_hands(scene, channel, arrival)


async def _settle(
    scene: Scene, channel: Channel, arrival: Arrival, message_id: str, attempt: int
) -> None:
    conversation = scene.conversation(channel, arrival)
    message = scene.ours.get(message_id)
    if message is not None and message_id in scene.apart:
        if conversation is None and message.comment_id is not None:
            await scene.bind_commenter(channel, arrival, message.comment_id)
        # Where somebody known wrote the comment, the reply may stand apart all the same.
        conversation = scene.work.conversations.get(message.conversation_id)
    if conversation is None or message is None or message.conversation_id != conversation.id:
        return
    await settle_from_echo(
        scene.work,
        conversation,
        message,
        attempt=attempt,
        mid=arrival.event.data.get("id"),
        platform_at=arrival.event.occurred_at,
    )
    scene.remember(message)


async def _receive_past(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Learn of something sent that no echo told of, nor whose it is: ours by its words, or not.

    While it may be one of ours that nobody can tell by its words, it is left to the echo.
    """
    if scene.message(channel, Direction.OUTBOUND, arrival.event.data.get("id")) is not None:
        return
    conversation = scene.conversation(channel, arrival)
    unclear = [] if conversation is None else await find_unclear(scene.work, conversation)
    if conversation is None or not unclear:
        await _other_hands(scene, channel, arrival)
        return
    said = _words(arrival.event.data.get("text"))
    for message in unclear:
        if said and _words(content_on_the_wire(message).get("text")) == said:
            await settle_from_conversation(
                scene.work,
                conversation,
                message,
                mid=arrival.event.data["id"],
                platform_at=arrival.event.occurred_at,
            )
            scene.remember(message)
            return


def _words(text: object) -> list[str]:
    return text.split() if isinstance(text, str) else []


async def _other_hands(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    event = arrival.event
    if scene.message(channel, Direction.OUTBOUND, event.data.get("id")) is not None:
        return
    _, conversation = await scene.meet(channel, arrival)
    content = {name: value for name, value in event.data.items() if name not in NOT_CONTENT}
    message = Message(
        account_id=channel.account_id,
        id=ids.new_id(ids.MESSAGE),
        channel_id=channel.id,
        conversation_id=conversation.id,
        enquiry_id=conversation.enquiry_id,
        sequence=conversation.take_sequence(),
        direction=Direction.OUTBOUND,
        author_kind=AuthorKind.PAGE,
        author_id=event.data.get("app_id"),
        content=content,
        status=MessageStatus.SENT,
        source_message_id=event.data.get("id"),
        platform_at=event.occurred_at,
        occurred_at=event.occurred_at,
        accepted_at=scene.work.now,
        sent_at=scene.work.now,
        late=bool(event.data.get(BACKFILLED)),
    )
    await want_media(scene.work, message)
    scene.add(message)
    conversation.last_message_at = scene.work.now
    announce_message(
        scene.work,
        conversation,
        message,
        "gateway.message.sent.v1",
        occurred_at=event.occurred_at,
        sequence=message.sequence,
        traceparent=event.traceparent,
    )
    await catch_up_marks(scene.work, conversation, message)
    if event.data.get("app_id") == channel.meta_app_id or is_late(conversation, arrival):
        return
    await _hand_over(scene, channel, arrival)


async def _hand_over(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    _, conversation = await scene.meet(channel, arrival)
    note_owner(scene, conversation, _who(conversation, channel, arrival), arrival)
    await on_page_inbox_message(scene.hall, conversation, channel)


def _who(conversation: Conversation, channel: Channel, arrival: Arrival) -> ThreadOwner:
    """Return who answered in our place: a person, unless another app is known to have the thread.

    What calls itself an app may well be a tool that people write with.
    """
    app_id = arrival.event.data.get("app_id")
    had = owner_at(conversation, arrival.event.occurred_at)
    if app_id is not None and arrival.event.standby and had is ThreadOwner.OTHER_APP:
        return owner_named(app_id, ours=channel.meta_app_id)
    return ThreadOwner.PAGE_INBOX
