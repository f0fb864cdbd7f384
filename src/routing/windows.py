"""Tells that a conversation's messaging window will close soon.

One timer a conversation. It is told once for each time that the window was open, whatever became of
the enquiry meanwhile: also who was answered, and is to hear more, can be written to until then.
"""

from datetime import datetime, timedelta
from typing import Final

from gateway.contracts.moments import rfc3339
from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.outbox import NewEvent
from gateway.db.timers import NewTimer, Timer, take_timer, write_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, has_window
from gateway.domain.conversation import STANDARD_WINDOW, window_at

WINDOW_TIMER: Final = "window_closing"
_NOTICE: Final = "notice_seconds"


def next_notice(
    channel: Channel, conversation: Conversation, *, notice: timedelta, now: datetime
) -> datetime | None:
    """Return when it is to be told that a window closes; None: it has closed, or never does.

    What should have been told before is to be told now, while the window is open.
    """
    acted_at = conversation.last_action_at
    if not has_window(channel.kind) or acted_at is None:
        return None
    closes = acted_at + STANDARD_WINDOW
    return max(now, closes - notice) if now < closes else None


def notice_timer(conversation: Conversation, *, due_at: datetime, notice: timedelta) -> NewTimer:
    """Return the timer that tells, so long before the window closes."""
    return NewTimer(
        account_id=conversation.account_id,
        kind=WINDOW_TIMER,
        subject_id=conversation.id,
        conversation_id=conversation.id,
        due_at=due_at,
        data={_NOTICE: notice.total_seconds()},
    )


async def window_due(work: UnitOfWork, timer: Timer) -> None:
    """Tell that a window closes soon, or wait on where the contact acted meanwhile."""
    locked = await lock_conversations(work, [timer.subject_id], account_id=timer.account_id)
    if not await take_timer(work, timer) or timer.subject_id not in locked:
        return
    conversation = locked[timer.subject_id]
    conversation.window_notice_at = None
    channel = await get_channel(work.connection, timer.account_id, conversation.channel_id)
    if channel is None or channel.status is ChannelStatus.DELETED:
        return
    notice = timedelta(seconds=timer.data[_NOTICE])
    due_at = next_notice(channel, conversation, notice=notice, now=work.now)
    if due_at is None or (await work.addressee(conversation)).blocked:
        return
    if due_at > work.now:
        conversation.window_notice_at = due_at
        again = notice_timer(conversation, due_at=due_at, notice=notice)
        await write_timers(work, set_=[again])
        return
    _tell(work, channel, conversation)


def _tell(work: UnitOfWork, channel: Channel, conversation: Conversation) -> None:
    window = window_at(
        work.now,
        kind=channel.kind,
        last_action_at=conversation.last_action_at,
        human_agent=channel.human_agent,
    )
    assert window.open_until is not None
    until = window.human_agent_until
    work.announce(
        NewEvent(
            type="gateway.conversation.window_closing.v1",
            account_id=conversation.account_id,
            channel_id=conversation.channel_id,
            conversation_id=conversation.id,
            enquiry_id=conversation.enquiry_id,
            sequence=conversation.take_sequence(),
            occurred_at=work.now,
            data={
                "window": {
                    "state": window.state.value,
                    "open_until": rfc3339(window.open_until),
                    "human_agent_until": None if until is None else rfc3339(until),
                }
            },
        )
    )
