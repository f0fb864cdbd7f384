"""What moves deliveries from outside the sender: holds, releases, echoes, resends.

All in the database: whoever calls holds the conversation's lock where a message is touched, and
speaks to nobody outside meanwhile.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.deliveries import Delivery, lock_open_deliveries, save_deliveries
from gateway.db.delivery_views import find_attempts_of_message
from gateway.db.held_deliveries import cancel_deliveries, hold_deliveries, release_deliveries
from gateway.db.lanes import promote_lanes
from gateway.db.messages import Message, find_called_without_id
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.message import MessageStatus
from gateway.domain.shards import shard_of
from gateway.messaging.acceptance import deliver_message
from gateway.messaging.transitions import announce_message, catch_up_marks, move_message

log = structlog.get_logger()

_ARRIVED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ})


async def hold_target(work: UnitOfWork, target_id: str) -> None:
    """Let a channel's or an endpoint's deliveries wait; with the change of state that holds them.

    Calls that run already run on.
    """
    await hold_deliveries(work.connection, target_id, shard=shard_of(target_id), now=work.now)


async def release_target(work: UnitOfWork, target: Channel | str) -> None:
    """Let what was held leave, in order; with the change of state that lets a target go on.

    Takes the channel, or an endpoint's id. Deadlines are put off by the time the hold lasted. Also
    for a channel that is deleted or discards its messages: the sender fails them one by one.
    """
    target_id = target if isinstance(target, str) else target.id
    shard = shard_of(target_id)
    await release_deliveries(work.connection, target_id, shard=shard, now=work.now)
    work.wake("sender", [shard])


async def drop_target(work: UnitOfWork, endpoint_id: str) -> None:
    """Cancel what an endpoint that is deleted has not got yet."""
    await cancel_deliveries(work.connection, endpoint_id, shard=shard_of(endpoint_id), now=work.now)


async def settle_from_echo(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    *,
    attempt: int,
    mid: str | None,
    platform_at: datetime,
) -> None:
    """Take a platform's word, by its echo of one of our attempts, that a message was sent.

    It counts whenever it comes: before the call's own answer, after the wait for it, and even after
    a failure. The open delivery of the message is settled, and its lane goes on.
    """
    if message.status in _ARRIVED:
        await _note_echo(work, conversation, message, mid=mid, platform_at=platform_at)
        return
    await move_message(
        work,
        conversation,
        message,
        MessageStatus.SENT,
        occurred_at=platform_at,
        source_message_id=mid,
        platform_at=platform_at,
        sent_at=work.now,
        error=None,
    )
    await _close_deliveries(work, message, carried=lambda each: each.attempt == attempt)


async def settle_from_conversation(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    *,
    mid: str,
    platform_at: datetime,
) -> None:
    """Take Meta's word, by its conversation, that a message was sent: by its latest attempt."""
    attempts = await find_attempts_of_message(work.connection, message.account_id, message.id)
    await settle_from_echo(
        work,
        conversation,
        message,
        attempt=attempts[-1].attempt if attempts else 0,
        mid=mid,
        platform_at=platform_at,
    )


async def find_unclear(work: UnitOfWork, conversation: Conversation) -> list[Message]:
    """Return what may have been sent in a conversation and has no id of the platform, in order."""
    return await find_called_without_id(work.connection, conversation.account_id, conversation.id)


async def settle_from_status(
    work: UnitOfWork, conversation: Conversation, message: Message, *, at: datetime
) -> None:
    """Take a third party's word that it has a message whose call ended unclearly."""
    await move_message(
        work,
        conversation,
        message,
        MessageStatus.SENT,
        occurred_at=at,
        sent_at=work.now,
        error=None,
    )
    await _close_deliveries(work, message, carried=lambda each: each.attempt > 0)


async def resend_message(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    message: Message,
    *,
    closes_at: datetime | None = None,
) -> None:
    """Send a failed or uncertain message again, at the end of its conversation's lane.

    After `closes_at` nobody tries any more.

    Raises:
        IllegalTransitionError: It neither failed nor is uncertain.
    """
    await _close_deliveries(work, message, carried=lambda _: False)
    await move_message(
        work,
        conversation,
        message,
        MessageStatus.ACCEPTED,
        sequence=conversation.take_sequence(),
        possibly_duplicate=True,
        error=None,
        sent_at=None,
    )
    announce_message(
        work,
        conversation,
        message,
        "gateway.message.accepted.v1",
        sequence=message.sequence,
        hold=channel.hold,
    )
    deliver_message(work, conversation, channel, message, closes_at=closes_at)


async def _note_echo(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    *,
    mid: str | None,
    platform_at: datetime,
) -> None:
    if message.source_message_id not in (None, mid):
        log.warning("echo.second_copy", message_id=message.id)
        return
    changes: dict[str, object] = {"platform_at": platform_at}
    newly_known = message.source_message_id is None and mid is not None
    if newly_known:
        changes["source_message_id"] = mid
    await work.change_message(message, **changes)
    if newly_known:
        await catch_up_marks(work, conversation, message)


async def _close_deliveries(
    work: UnitOfWork, message: Message, *, carried: Callable[[Delivery], bool]
) -> None:
    """Settle the open deliveries of a message; `carried` says which of them delivered it."""
    deliveries = await lock_open_deliveries(work.connection, message.id)
    for delivery in deliveries:
        ended = DeliveryStatus.DELIVERED if carried(delivery) else DeliveryStatus.CANCELLED
        delivery.status = ended
        delivery.holds_lane = False
        delivery.settled_at = work.now
    await save_deliveries(work.connection, deliveries)
    await promote_lanes(work.connection, {(each.target_id, each.lane) for each in deliveries})
    work.wake("sender", {each.shard for each in deliveries})
