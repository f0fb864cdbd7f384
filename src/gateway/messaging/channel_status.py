"""Writes changes of a channel, and lets follow what has to when its status is another one."""

from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus
from gateway.errors import PageAlreadyConnectedError
from gateway.messaging.backfill import fetch_missed
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.settlement import hold_target, release_target

# While a channel is so, webhooks may have been lost.
_UNWELL: Final = frozenset({ChannelStatus.DEGRADED, ChannelStatus.DISCONNECTED})


async def write_status(
    work: UnitOfWork,
    channel: Channel,
    *also: str,
    detail: str | None = None,
    remedy: str | None = None,
    **changes: Any,  # noqa: ANN401 - column values
) -> Channel:
    """Write changes of a channel's row, announce another status, and hold or release what waits.

    `also` names further changes to announce.

    Raises:
        PageAlreadyConnectedError: It would hold a source that another channel holds.
    """
    try:
        changed = await change_channel(work.connection, channel, now=work.now, **changes)
    except IntegrityError as error:
        raise already_connected() from error
    for change in also:
        announce_channel(work, changed, change)
    if (changed.status, changed.status_reason) != (channel.status, channel.status_reason):
        announce_channel(work, changed, entered(changed.status), detail=detail, remedy=remedy)
    if changed.status is ChannelStatus.ACTIVE and channel.status in _UNWELL:
        await fetch_missed(work, changed)
    if changed.hold is not None and channel.hold is None:
        await hold_target(work, changed.id)
    elif changed.hold is None and channel.hold is not None:
        await release_target(work, changed)
    return changed


def entered(status: ChannelStatus) -> str:
    """Return the event that tells of a status."""
    return "activated" if status is ChannelStatus.ACTIVE else status.value


def already_connected() -> PageAlreadyConnectedError:
    """Return the refusal of a source that another channel holds; it does not tell whose."""
    return PageAlreadyConnectedError("This Page or account is connected to a channel already.")
