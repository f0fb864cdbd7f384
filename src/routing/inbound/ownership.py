"""Whose event is it? Judged by the channel that is live for its source when routing reads it.

The record's time decides only between two successive owners, with some tolerance for clocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.db.channels import Channel
from gateway.domain.channel import ChannelStatus

TOLERANCE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Owned:
    """The channel takes the event."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Waiting:
    """The event waits: for this suspended channel, or for any channel that takes the source."""

    channel: Channel | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The event belongs to a channel that is deleted: nobody takes it any more."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Foreign:
    """The event was signed by another app than the channel's."""


Verdict = Owned | Waiting | Ended | Foreign


def owner_of(
    candidates: Sequence[Channel], *, meta_app_id: str | None, arrived_at: datetime
) -> Verdict:
    """Return whose event it is.

    Args:
        candidates: Every channel that holds or held the source, the present owner first.
        meta_app_id: The app that signed it; None for third parties.
        arrived_at: The record's time, set by the ingress.
    """
    channel = _tenant(candidates, arrived_at)
    if channel is None:
        return Waiting(None)
    if channel.meta_app_id != meta_app_id:
        return Foreign()
    match channel.status:
        case ChannelStatus.SUSPENDED:
            return Waiting(channel)
        case ChannelStatus.DELETED:
            return Ended(channel)
        case _:
            return Owned(channel)


def _tenant(candidates: Sequence[Channel], arrived_at: datetime) -> Channel | None:
    live = next((channel for channel in candidates if channel.holds_source), None)
    if live is not None and arrived_at >= live.connected_at:
        return live
    # It came before the present owner did: whoever held the source then has it. When nobody did,
    # it was waiting for an owner, and the present one is it.
    for channel in candidates:
        if (
            channel.freed_at is not None
            and channel.connected_at - TOLERANCE <= arrived_at <= channel.freed_at + TOLERANCE
        ):
            return channel
    return live
