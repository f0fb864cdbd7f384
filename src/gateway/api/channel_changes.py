"""Writes changes of a channel, and lets follow what has to."""

from typing import Any

from gateway.api.connecting import Asked
from gateway.api.parts import ApiParts
from gateway.db.channels import Channel
from gateway.db.meta_apps import raise_secret_version
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason
from gateway.messaging.channel_status import write_status


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
