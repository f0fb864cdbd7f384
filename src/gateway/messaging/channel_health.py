"""What a channel's own calls reveal about it: that it is disconnected or degraded."""

from typing import Final

from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel, get_channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.settlement import hold_target

# The worse one stays: what is disconnected does not become merely degraded.
_BADNESS: Final = {
    ChannelStatus.ACTIVE: 0,
    ChannelStatus.DEGRADED: 1,
    ChannelStatus.DISCONNECTED: 2,
}


async def mark_channel(
    work: UnitOfWork,
    channel: Channel,
    status: ChannelStatus,
    reason: StatusReason,
    *,
    detail: str | None = None,
    remedy: str | None = None,
) -> Channel | None:
    """Mark a channel as degraded or disconnected, announce it and hold what must wait.

    Returns the channel as it is now; None where its token is no longer the one that failed, so that
    what a call with the old one showed says nothing about it. A suspended or deleted channel stays
    what it is. The channel's row is locked from here on.
    """
    present = await get_channel(work.connection, channel.account_id, channel.id, lock=True)
    if present is None or present.page_access_token != channel.page_access_token:
        return None
    badness = _BADNESS.get(present.status)
    same = (present.status, present.status_reason) == (status, reason)
    if badness is None or badness > _BADNESS[status] or same:
        return present
    marked = await change_channel(
        work.connection, present, now=work.now, status=status, status_reason=reason
    )
    announce_channel(work, marked, status.value, detail=detail, remedy=remedy)
    if marked.hold is not None:
        await hold_target(work, marked.id)
    return marked
