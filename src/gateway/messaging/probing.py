"""Looking after channels: how a Page or a third party's address does, and what follows of it."""

import random
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.db.channel_writes import (
    change_channel,
    count_failed_challenge,
    forget_failed_challenges,
    note_probe,
)
from gateway.db.channels import Channel, get_channel
from gateway.db.errands import NewErrand, set_errands
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason, status_with
from gateway.domain.token_warnings import warning_due
from gateway.messaging.backfill import fetch_missed
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.channel_status import write_status
from gateway.meta.page_findings import ConnectedPage

PROBE: Final = "channel_probe"
WEBHOOK_CHECK: Final = "webhook_check"

_WATCHED: Final = (ChannelStatus.ACTIVE, ChannelStatus.DEGRADED, ChannelStatus.DISCONNECTED)
_FAILURES_TO_DEGRADE: Final = 3
# A call showed trouble: who looks closer does so soon, but not all of many at once.
_SOON_SECONDS: Final = (1.0, 20.0)


async def probe_soon(work: UnitOfWork, channel: Channel) -> None:
    """Have a Page looked at soon, because something about it went wrong."""
    due_at = work.now + timedelta(seconds=random.uniform(*_SOON_SECONDS))  # noqa: S311 - spread
    errand = NewErrand(
        account_id=channel.account_id, kind=PROBE, subject_id=channel.id, due_at=due_at
    )
    await set_errands(work, [errand])


async def take_page(work: UnitOfWork, channel: Channel, page: ConnectedPage) -> Channel | None:
    """Write down how a Page was found.

    Returns the channel as it is now; None where its token is another one by now, or it is not
    looked after any more.
    """
    present = await _still(work, channel)
    if present is None:
        return None
    found: dict[str, Any] = {
        "status": status_with(page.trouble),
        "status_reason": page.trouble,
        "page_name": page.name or present.page_name,
        "subscribed_fields": list(page.subscribed_fields),
    }
    was_active = present.status is ChannelStatus.ACTIVE
    if any(getattr(present, name) != value for name, value in found.items()):
        present = await write_status(work, present, **found)
    if page.resubscribed and was_active:
        # Else its return asks for what was missed.
        await fetch_missed(work, present)
    await note_probe(work.connection, present, now=work.now, expires_at=page.expires_at)
    return await _warn(work, present, page.expires_at)


async def take_refusal(work: UnitOfWork, channel: Channel, reason: StatusReason) -> Channel | None:
    """Write down that a Page's token does not hold any more; returns as `take_page` does."""
    present = await _still(work, channel)
    if present is None:
        return None
    if (present.status, present.status_reason) == (ChannelStatus.DISCONNECTED, reason):
        return present
    return await write_status(
        work, present, status=ChannelStatus.DISCONNECTED, status_reason=reason
    )


async def take_challenge(work: UnitOfWork, channel: Channel, *, passed: bool) -> Channel | None:
    """Write down how a third party's address answered: three failures in a row degrade a channel.

    None where it is not looked after any more, or has another address by now.
    """
    present = await get_channel(work.connection, channel.account_id, channel.id, lock=True)
    if (
        present is None
        or present.status not in _WATCHED
        or present.outgoing_webhook_url != channel.outgoing_webhook_url
    ):
        return None
    failed = present.status_reason is StatusReason.CHALLENGE_FAILED
    if passed:
        await forget_failed_challenges(work.connection, present)
        return await _become(work, present, None) if failed else present
    failures = await count_failed_challenge(work.connection, present)
    if failures >= _FAILURES_TO_DEGRADE and not failed:
        return await _become(work, present, StatusReason.CHALLENGE_FAILED)
    return present


async def _become(work: UnitOfWork, channel: Channel, trouble: StatusReason | None) -> Channel:
    return await write_status(work, channel, status=status_with(trouble), status_reason=trouble)


async def _still(work: UnitOfWork, channel: Channel) -> Channel | None:
    present = await get_channel(work.connection, channel.account_id, channel.id, lock=True)
    if (
        present is None
        or present.status not in _WATCHED
        or not present.holds_source
        or present.page_access_token != channel.page_access_token
    ):
        return None
    return present


async def _warn(work: UnitOfWork, channel: Channel, expires_at: datetime | None) -> Channel:
    """Tell that a token ends soon, once at each of the days; a renewed one begins anew."""
    known = channel.token_expires_at
    renewed = known is not None and (expires_at is None or expires_at > known)
    warned = None if renewed else channel.token_warned_days
    days = warning_due(expires_at, work.now, warned_days=warned)
    if days is None and warned == channel.token_warned_days:
        return channel
    changed = await change_channel(
        work.connection, channel, now=work.now, token_warned_days=days or warned
    )
    if days is not None:
        announce_channel(
            work,
            changed,
            "token_expiring",
            detail=f"Access to the Page ends within {days} day{'s' if days > 1 else ''}.",
            remedy="Re-authenticate the channel before then.",
            days_left=days,
        )
    return changed
