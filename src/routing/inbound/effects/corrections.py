"""A message has other words now, or none."""

from typing import Any

from gateway.db.channels import Channel
from gateway.db.messages import Message
from gateway.messaging.inbound_media import drop_media
from gateway.messaging.transitions import announce_message
from routing.inbound.arrivals import Arrival
from routing.inbound.effects.passing import pass_on
from routing.inbound.scene import Scene


async def receive_edit(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Give a message its new text; an edit older than the one it has changes nothing."""
    data = arrival.event.data
    message = scene.named(channel, data["message_id"])
    if message is None:
        await pass_on(scene, channel, arrival)
        return
    number = data.get("edit_number") or 0
    if number < message.content.get("edit_number", 0) or message.unsent_at is not None:
        return
    content = message.content | {"text": data.get("text"), "edit_number": number}
    await _change(
        scene,
        channel,
        arrival,
        message,
        "gateway.message.edited.v1",
        content=content,
        edited_at=arrival.event.occurred_at,
    )


async def receive_unsent(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Delete what a message said, as the platform requires when it was taken back."""
    message = scene.named(channel, arrival.event.data["message_id"])
    if message is None:
        await pass_on(scene, channel, arrival)
        return
    if message.unsent_at is not None:
        return
    await drop_media(scene.work, message)
    await _change(
        scene,
        channel,
        arrival,
        message,
        "gateway.message.unsent.v1",
        content={"type": "unsent"},
        unsent_at=arrival.event.occurred_at,
    )


async def _change(
    scene: Scene,
    channel: Channel,
    arrival: Arrival,
    message: Message,
    event_type: str,
    **changes: Any,  # noqa: ANN401 - column values
) -> None:
    _, conversation = await scene.meet(channel, arrival)
    if message.conversation_id != conversation.id:
        return
    await scene.work.change_message(message, **changes)
    announce_message(
        scene.work,
        conversation,
        message,
        event_type,
        occurred_at=arrival.event.occurred_at,
        traceparent=arrival.event.traceparent,
    )
