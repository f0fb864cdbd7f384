"""Takes a message that shall leave: its row, its event and the delivery that carries it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.messages import Message
from gateway.db.outbox import NewDelivery
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.conversation import window_at
from gateway.domain.message import AuthorKind, Direction, MessageStatus
from gateway.messaging.thread_ownership import keep_thread
from gateway.messaging.transitions import announce_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What somebody wants to send; its content has been checked.

    `display_name` stands before the text on the wire. After `closes_at` nobody tries any more.
    """

    content: dict[str, Any]
    author_kind: AuthorKind = AuthorKind.SYSTEM
    author_id: str | None = None
    author_name: str | None = None
    client_reference: str | None = None
    tag: str | None = None
    reply_to: str | None = None
    persona_id: str | None = None
    comment_id: str | None = None
    closes_at: datetime | None = None
    take_thread: bool = False
    display_name: str | None = None
    automation_cause: str | None = None
    enquiry_id: str | None = None
    traceparent: str | None = None


async def accept_message(
    work: UnitOfWork, conversation: Conversation, channel: Channel, outgoing: Outgoing
) -> Message:
    """Accept a message into its conversation's lane; the conversation is locked.

    Raises:
        sqlalchemy.exc.IntegrityError: Its automation cause has had its message; at the end, where
            the transaction gathers messages.
    """
    message = Message(
        account_id=conversation.account_id,
        id=ids.new_id(ids.MESSAGE),
        channel_id=channel.id,
        conversation_id=conversation.id,
        enquiry_id=outgoing.enquiry_id,
        sequence=conversation.take_sequence(),
        direction=Direction.OUTBOUND,
        author_kind=outgoing.author_kind,
        author_id=outgoing.author_id,
        author_name=outgoing.author_name,
        content=outgoing.content,
        status=MessageStatus.ACCEPTED,
        client_reference=outgoing.client_reference,
        tag=outgoing.tag,
        reply_to=outgoing.reply_to,
        persona_id=outgoing.persona_id,
        comment_id=outgoing.comment_id,
        take_thread=outgoing.take_thread,
        display_name=outgoing.display_name,
        automation_cause=outgoing.automation_cause,
        occurred_at=work.now,
        accepted_at=work.now,
    )
    await work.add_message(message)
    if message.author_kind is AuthorKind.AGENT:
        # A person is there: automation goes on, should it have been stopped.
        conversation.automation_paused_at, conversation.automatic_at = None, ()
    conversation.last_message_at = work.now
    conversation.last_outbound_at = work.now
    keep_thread(conversation, at=work.now)
    announce_message(
        work,
        conversation,
        message,
        "gateway.message.accepted.v1",
        sequence=message.sequence,
        hold=channel.hold,
        traceparent=outgoing.traceparent,
    )
    deliver_message(
        work,
        conversation,
        channel,
        message,
        closes_at=outgoing.closes_at,
        traceparent=outgoing.traceparent,
    )
    return message


def deliver_message(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    message: Message,
    *,
    closes_at: datetime | None = None,
    traceparent: str | None = None,
) -> NewDelivery:
    """Write the delivery that carries a message out; also that of a resent one.

    It is tried until the channel's deadline, and neither past the window nor past `closes_at`.
    """
    deadline = send_deadline(channel, conversation, message, now=work.now)
    delivery = NewDelivery(
        account_id=message.account_id,
        target_kind=channel.target_kind,
        target_id=channel.id,
        lane=conversation.id,
        kind="message",
        due_at=work.now if channel.hold is None else None,
        channel_id=channel.id,
        conversation_id=conversation.id,
        message_id=message.id,
        deadline_at=deadline if closes_at is None else min(deadline, closes_at),
        traceparent=traceparent,
    )
    work.deliver(delivery)
    return delivery


def send_deadline(
    channel: Channel, conversation: Conversation, message: Message, *, now: datetime
) -> datetime:
    """Return until when a message may be tried: the channel's deadline, never past the window."""
    deadline = now + timedelta(seconds=channel.send_deadline_seconds)
    window = window_at(
        now,
        kind=channel.kind,
        last_action_at=conversation.last_action_at,
        human_agent=channel.human_agent,
    )
    closes = window.human_agent_until if message.tag == "HUMAN_AGENT" else window.open_until
    if closes is None or message.comment_id is not None:
        return deadline
    return min(deadline, closes)
