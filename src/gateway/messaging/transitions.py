"""Moves a message along the arrows of its life and tells the outside.

The only place that changes the status of a message. REST, routing (echoes, marks, automatic
messages) and the sender all come here; whoever calls holds the conversation's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.db.conversations import Conversation
from gateway.db.marks import take_marks
from gateway.db.message_batches import change_messages, take_all_marks
from gateway.db.messages import Message
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import ARROWS, MessageStatus, may_move
from gateway.errors import IllegalTransitionError
from gateway.messaging.resources import message_resource

# `sending` is the gateway's own business: it takes no number and no event.
_EVENTS: Final[dict[MessageStatus, str]] = {
    MessageStatus.SENT: "gateway.message.sent.v1",
    MessageStatus.DELIVERED: "gateway.message.delivered.v1",
    MessageStatus.READ: "gateway.message.read.v1",
    MessageStatus.FAILED: "gateway.message.failed.v1",
    MessageStatus.UNCERTAIN: "gateway.message.uncertain.v1",
}


async def move_message(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    target: MessageStatus,
    *,
    occurred_at: datetime | None = None,
    **changes: Any,  # noqa: ANN401 - column values
) -> None:
    """Move a message to another state, write what changes with it and announce the event.

    Raises:
        IllegalTransitionError: There is no such arrow.
    """
    source = message.status
    _check_arrow(message, target)
    await work.change_message(message, status=target, **changes)
    _announce_move(work, conversation, message, source, occurred_at=occurred_at)
    if target is MessageStatus.SENT:
        await catch_up_marks(work, conversation, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One of many moves: of which message, where to, and what changes with it."""

    conversation: Conversation
    message: Message
    target: MessageStatus
    changes: dict[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    # Said in the event about it, beside the message.
    further: dict[str, Any] = field(default_factory=dict)


async def move_messages(work: UnitOfWork, moves: Sequence[Move]) -> None:
    """Move many messages, each as `move_message` would, in a few statements.

    Raises:
        IllegalTransitionError: One of the arrows does not exist; nothing has been moved then.
    """
    for move in moves:
        _check_arrow(move.message, move.target)
    sources = [move.message.status for move in moves]
    await change_messages(
        work.connection,
        [(move.message, {"status": move.target, **move.changes}) for move in moves],
    )
    for move, source in zip(moves, sources, strict=True):
        _announce_move(
            work,
            move.conversation,
            move.message,
            source,
            traceparent=move.traceparent,
            **move.further,
        )
    sent = [move for move in moves if move.target is MessageStatus.SENT]
    marks = await take_all_marks(work.connection, [move.message for move in sent])
    for move in sent:
        given = marks.get(move.message.id, {})
        await _apply_marks(work, move.conversation, move.message, given)


async def catch_up_marks(work: UnitOfWork, conversation: Conversation, message: Message) -> None:
    """Apply the marks that came before it was known that their message had been sent."""
    marks = await take_marks(work.connection, message)
    await _apply_marks(work, conversation, message, marks)


async def _apply_marks(
    work: UnitOfWork, conversation: Conversation, message: Message, marks: dict[str, datetime]
) -> None:
    if message.platform_at is not None:
        for kind, watermark in (
            ("delivered", conversation.delivered_watermark),
            ("read", conversation.read_watermark),
        ):
            if watermark is not None and message.platform_at <= watermark:
                marks.setdefault(kind, watermark)
    if "failed" in marks:
        error = refused_by_third_party(None)
        await move_message(work, conversation, message, MessageStatus.FAILED, error=error)
        return
    for kind in ("delivered", "read"):
        if kind in marks:
            await mark_message(work, conversation, message, kind, at=marks[kind])


async def mark_message(
    work: UnitOfWork, conversation: Conversation, message: Message, kind: str, *, at: datetime
) -> None:
    """Mark a message as `delivered` or `read`; a mark never moves it back.

    Reading implies delivery: what was read without a word of delivery counts as delivered then.
    """
    target = MessageStatus(kind)
    if not may_move(message.status, target):
        return
    changes: dict[str, Any] = {f"{kind}_at": at}
    if target is MessageStatus.READ and message.delivered_at is None:
        changes["delivered_at"] = at
    await move_message(work, conversation, message, target, occurred_at=at, **changes)


def refused_by_third_party(detail: str | None) -> dict[str, Any]:
    """Return the error of a message that a third party took and could not pass on."""
    return {
        "code": "refused-by-third-party",
        "detail": detail or "The third party could not pass the message on.",
        "retryable": False,
        "remedy": "Ask the third party why, then send the message again.",
    }


def announce_message(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    event_type: str,
    *,
    occurred_at: datetime | None = None,
    sequence: int | None = None,
    hold: str | None = None,
    also_to: tuple[str, ...] = (),
    traceparent: str | None = None,
    **further: Any,  # noqa: ANN401 - JSON values beside the message
) -> None:
    """Write an event about a message; without a `sequence`, it takes the conversation's next."""
    work.announce(
        NewEvent(
            type=event_type,
            account_id=message.account_id,
            channel_id=message.channel_id,
            conversation_id=message.conversation_id,
            enquiry_id=message.enquiry_id,
            sequence=conversation.take_sequence() if sequence is None else sequence,
            occurred_at=occurred_at or work.now,
            traceparent=traceparent,
            data={
                "message": message_resource(message, hold=hold, link=work.media_link),
                **further,
            },
            also_to=also_to,
        )
    )


def _check_arrow(message: Message, target: MessageStatus) -> None:
    if not may_move(message.status, target):
        raise IllegalTransitionError(
            f"A message that is {message.status} cannot become {target}.",
            extra={"state": message.status, "allowed": sorted(ARROWS[message.status])},
        )


def _announce_move(
    work: UnitOfWork,
    conversation: Conversation,
    message: Message,
    source: MessageStatus,
    *,
    occurred_at: datetime | None = None,
    traceparent: str | None = None,
    **further: Any,  # noqa: ANN401 - JSON values beside the message
) -> None:
    target = message.status
    if source is MessageStatus.UNCERTAIN and target is not MessageStatus.ACCEPTED:
        announce_message(
            work,
            conversation,
            message,
            "gateway.message.resolved.v1",
            occurred_at=occurred_at,
            traceparent=traceparent,
        )
    event_type = _EVENTS.get(target)
    if event_type is not None:
        announce_message(
            work,
            conversation,
            message,
            event_type,
            occurred_at=occurred_at,
            traceparent=traceparent,
            **further,
        )
