"""Writes changes of a channel, and lets follow what has to."""

from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from gateway.api.connecting import Asked, already_connected
from gateway.api.new_channels import entered
from gateway.api.parts import ApiParts
from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel
from gateway.db.meta_apps import raise_secret_version
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.messaging.backfill import fetch_missed
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.settlement import hold_target, release_target


async def store_changes(
    work: UnitOfWork,
    parts: ApiParts,
    channel: Channel,
    columns: dict[str, Any],
    asked: Asked | None,
) -> Channel:
    """Write a channel's settings, and what was asked outside of its source; announce them.

    Raises:
        PageAlreadyConnectedError: Another channel has taken the Page meanwhile.
    """
    changes = dict(columns)
    if asked is not None:
        changes |= asked.row_of(channel.id, work.keyring) | _health(work, channel, asked)
    rerouted = changes["routing"] != channel.routing
    if rerouted:
        changes["routing_version"] = channel.routing_version + 1
    changed = await write_status(work, channel, "updated", **changes)
    if rerouted:
        await parts.routing_changes.routing_changed(work, channel.account_id, channel.id)
    if asked is not None:
        await raise_secret_version(work)
    return changed


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


def _health(work: UnitOfWork, channel: Channel, asked: Asked) -> dict[str, Any]:
    if "page_access_token" in asked.sealed:
        held = {
            "holds_source": True,
            "freed_at": None,
            "connected_at": channel.connected_at if channel.holds_source else work.now,
            "token_checked_at": work.now,
        }
        if channel.status is ChannelStatus.SUSPENDED:
            return held
        return held | {"status": asked.status, "status_reason": asked.trouble}
    if channel.status_reason is StatusReason.CHALLENGE_FAILED:
        return {"status": ChannelStatus.ACTIVE, "status_reason": None}
    return {}
