"""What became of our messages: delivered, read, refused; and reactions to any message."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.marks import keep_mark
from gateway.domain.message import Direction, MessageStatus, may_move
from gateway.messaging.settlement import settle_from_status
from gateway.messaging.transitions import (
    announce_message,
    mark_message,
    move_message,
    refused_by_third_party,
)
from routing.inbound.arrivals import Arrival
from routing.inbound.effects.window import open_window
from routing.inbound.scene import Scene

_NOT_SETTLED: Final = frozenset({MessageStatus.ACCEPTED, MessageStatus.SENDING})


async def receive_delivery(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Mark the messages named as delivered, and all that the watermark covers."""
    conversation = scene.conversation(channel, arrival)
    if conversation is None:
        return
    data = arrival.event.data
    at = arrival.watermark() or arrival.event.occurred_at
    await _mark_named(scene, channel, conversation, data.get("message_ids") or (), "delivered", at)
    if data.get("watermark") is not None:
        await raise_watermark(scene, conversation, "delivered", at)


async def receive_read(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Mark messages as read: one and those before it, or all that the watermark covers."""
    conversation = scene.conversation(channel, arrival)
    if conversation is None:
        return
    data = arrival.event.data
    at = arrival.watermark()
    message_id = data.get("message_id")
    if message_id is not None:
        read_at = arrival.event.occurred_at
        await _mark_named(scene, channel, conversation, [message_id], "read", read_at)
        message = scene.message(channel, Direction.OUTBOUND, message_id)
        at = at or (None if message is None else message.platform_at)
    if at is not None:
        await raise_watermark(scene, conversation, "read", at)


async def receive_status(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Take a third party's word on one of our messages, by our id of it or by its own."""
    data = arrival.event.data
    kind, message_id, at = data["status"], data["message_id"], arrival.event.occurred_at
    message = scene.ours.get(message_id) or scene.message(channel, Direction.OUTBOUND, message_id)
    if message is None or message.channel_id != channel.id:
        await keep_mark(scene.work.connection, channel, message_id, kind, at=at, now=scene.work.now)
        return
    if message.status in _NOT_SETTLED:
        # It comes before the call's own answer, and waits for that.
        await keep_mark(scene.work.connection, channel, message.id, kind, at=at, now=scene.work.now)
        return
    conversation = scene.work.conversations[message.conversation_id]
    if kind != "failed":
        if message.status is MessageStatus.UNCERTAIN:
            await settle_from_status(scene.work, conversation, message, at=at)
        await mark_message(scene.work, conversation, message, kind, at=at)
    elif may_move(message.status, MessageStatus.FAILED):
        error = refused_by_third_party(data.get("error"))
        await move_message(
            scene.work, conversation, message, MessageStatus.FAILED, occurred_at=at, error=error
        )


async def receive_reaction(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Note a reaction; one that a contact puts on opens the messaging window."""
    _, conversation = await scene.meet(channel, arrival)
    data = arrival.event.data
    if data["by"] == "contact" and data["action"] == "react":
        open_window(scene, channel, conversation, arrival)
    message = scene.named(channel, data["message_id"])
    if message is None:
        return
    reactions = {name: value for name, value in message.reactions.items() if name != data["by"]}
    if data["action"] == "react":
        reactions[data["by"]] = {
            "reaction": data.get("reaction"),
            "emoji": data.get("emoji"),
        }
    await scene.work.change_message(message, reactions=reactions)
    announce_message(
        scene.work,
        conversation,
        message,
        "gateway.message.reacted.v1",
        occurred_at=arrival.event.occurred_at,
        traceparent=arrival.event.traceparent,
        reaction=data,
    )


async def raise_watermark(
    scene: Scene, conversation: Conversation, kind: str, at: datetime
) -> None:
    """Raise a watermark and mark what it covers; a lower one changes nothing."""
    field = f"{kind}_watermark"
    before = getattr(conversation, field)
    if before is not None and at <= before:
        return
    setattr(conversation, field, at)
    statuses = {MessageStatus.SENT}
    if kind == "read":
        statuses.add(MessageStatus.DELIVERED)
    for message in scene.sent_before(conversation, at):
        if message.status in statuses:
            await mark_message(scene.work, conversation, message, kind, at=at)


async def _mark_named(
    scene: Scene,
    channel: Channel,
    conversation: Conversation,
    message_ids: Iterable[str],
    kind: str,
    at: datetime,
) -> None:
    for message_id in message_ids:
        message = scene.message(channel, Direction.OUTBOUND, message_id)
        if message is not None and message.conversation_id == conversation.id:
            await mark_message(scene.work, conversation, message, kind, at=at)
        elif message is None:
            await keep_mark(
                scene.work.connection, channel, message_id, kind, at=at, now=scene.work.now
            )
