"""What a diagnosis reads of a channel's conversations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.channels import Channel
from gateway.domain.conversation import THREAD_OWNERSHIP

# The latest ones tell; a channel may have millions.
_MOST: Final = 1000
_TRAFFIC: Final = text(
    """
    WITH latest AS (
      SELECT last_inbound_at, last_action_at, delivered_watermark, read_watermark,
             CASE WHEN thread_owner_since > :owned_since THEN thread_owner END AS owner
      FROM conversations WHERE channel_id = :channel_id
      ORDER BY coalesce(last_message_at, created_at) DESC, id DESC LIMIT :most
    )
    SELECT max(greatest(last_inbound_at, last_action_at, delivered_watermark, read_watermark))
             AS last_event_at,
           max(last_action_at) AS last_action_at,
           count(*) FILTER (WHERE owner = 'other_app') AS other_apps,
           count(*) FILTER (WHERE owner = 'page_inbox') AS inboxes,
           (SELECT updated_at FROM channels
            WHERE account_id = :account_id AND id = :channel_id) AS changed_at
    FROM latest
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was seen of the channel's latest conversations.

    Attributes:
        last_event_at: When an event happened last that reached us.
        last_action_at: When a contact last did what opens the messaging window.
        other_apps: How many threads another app holds.
        inboxes: How many threads people in the Page's inbox hold.
        changed_at: When the channel's own row was changed last.
    """

    last_event_at: datetime | None
    last_action_at: datetime | None
    other_apps: int
    inboxes: int
    changed_at: datetime


async def read_traffic(connection: AsyncConnection, channel: Channel, *, now: datetime) -> Traffic:
    """Return what was seen of a channel's conversations."""
    row = await connection.execute(
        _TRAFFIC,
        {
            "account_id": channel.account_id,
            "channel_id": channel.id,
            "owned_since": now - THREAD_OWNERSHIP,
            "most": _MOST,
        },
    )
    return Traffic(**row.mappings().one())
