"""What the gateway says by itself: welcome, away, bots, and what endpoints answer at once.

Such a message is sent only where it can be and may be; where not, it is left out without a trace
and without an error. Two robots must not talk for ever: more than ten in a conversation within a
minute stop automation there. It goes on when an agent has written, or a day later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.messages import Message
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, has_window
from gateway.domain.conversation import ThreadOwner, WindowState, window_at
from gateway.messaging.acceptance import Outgoing, accept_message
from gateway.messaging.thread_ownership import owner_at

MOST_MESSAGES: Final = 10
WITHIN: Final = timedelta(seconds=60)
PAUSE: Final = timedelta(hours=24)

_CLOSED: Final = frozenset({ChannelStatus.SUSPENDED, ChannelStatus.DELETED})


async def say(
    work: UnitOfWork, conversation: Conversation, channel: Channel, outgoing: Outgoing
) -> Message | None:
    """Accept an automatic message into a locked conversation; None where it is not to be sent.

    It is not while the channel is suspended or deleted, the contact blocked, the thread somebody
    else's, the messaging window closed, or automation stopped. A channel that holds its messages
    holds this one too. The caller knows that its cause has had none yet.
    """
    if not may_answer(work, conversation, channel):
        return None
    if (await work.addressee(conversation)).blocked:
        return None
    if _is_paused(work, conversation):
        return None
    recent = _recent(conversation.automatic_at, work.now)
    if len(recent) >= MOST_MESSAGES:
        _pause(work, conversation)
        return None
    conversation.automatic_at = (*recent, work.now)
    return await accept_message(work, conversation, channel, outgoing)


def may_answer(work: UnitOfWork, conversation: Conversation, channel: Channel) -> bool:
    """Say whether a channel takes messages, and a robot is in nobody's way on this thread."""
    if channel.status in _CLOSED:
        return False
    if not has_window(channel.kind):
        return True
    if owner_at(conversation, work.now) in (ThreadOwner.OTHER_APP, ThreadOwner.PAGE_INBOX):
        return False
    window = window_at(
        work.now,
        kind=channel.kind,
        last_action_at=conversation.last_action_at,
        human_agent=channel.human_agent,
    )
    return window.state is WindowState.OPEN


def _is_paused(work: UnitOfWork, conversation: Conversation) -> bool:
    paused_at = conversation.automation_paused_at
    if paused_at is None:
        return False
    if work.now < paused_at + PAUSE:
        return True
    conversation.automation_paused_at = None
    return False


def _recent(moments: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    return tuple(moment for moment in moments if moment > now - WITHIN)


def _pause(work: UnitOfWork, conversation: Conversation) -> None:
    conversation.automation_paused_at = work.now
    work.announce(
        NewEvent(
            type="gateway.conversation.automation_paused.v1",
            account_id=conversation.account_id,
            channel_id=conversation.channel_id,
            conversation_id=conversation.id,
            enquiry_id=conversation.enquiry_id,
            sequence=conversation.take_sequence(),
            occurred_at=work.now,
            data={"reason": "too_many_automatic_messages"},
        )
    )
