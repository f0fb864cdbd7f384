"""Typing, seen and reactions: asked for now, tried once, and never in a message's way."""

from typing import Any

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.outbox import NewDelivery
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.errors import FieldFault, NotSupportedByChannelError


def request_action(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    payload: dict[str, Any],
    *,
    pointer: str,
) -> None:
    """Ask for an action in a conversation.

    Args:
        work: The transaction.
        conversation: Where; it need not be locked.
        channel: Its channel; while that is held, nothing is shown and nothing is kept for later.
        payload: `{"action": "typing_on|typing_off|mark_seen"}`, or
            `{"action": "react|unreact", "source_message_id": <Meta's mid>, "reaction"?}`.
        pointer: Where a refusal says that the action is.

    Raises:
        NotSupportedByChannelError: Third parties take messages alone.
    """
    if channel.kind is ChannelKind.THIRD_PARTY:
        detail = "Third-party channels take messages alone: no typing, seen or reactions."
        raise NotSupportedByChannelError(
            detail, faults=[FieldFault(pointer, "not-supported", detail)]
        )
    if channel.hold is not None:
        return
    delivery = NewDelivery(
        account_id=channel.account_id,
        target_kind=channel.target_kind,
        target_id=channel.id,
        lane="",
        kind="action",
        due_at=work.now,
        channel_id=channel.id,
        conversation_id=conversation.id,
        payload=payload,
    )
    delivery.lane = delivery.id
    work.deliver(delivery)
