"""What a back-fill reads and writes: which messages are missed, and their way to routing.

They wait among the parked events: routing takes those in order, one conversation at a time, and
what comes live meanwhile waits behind them.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.inbound import InboundEvent
from gateway.db.channels import Channel
from gateway.db.dead_letters import headers_as_json
from gateway.db.parking import Key, lock_key, park

# As long as anything waits for a suspended channel.
_KEPT: Final = timedelta(days=7)

_LAST_WORDS: Final = text(
    """
    SELECT coalesce(last_message_at, created_at) FROM conversations
    WHERE channel_id = :channel_id
    ORDER BY coalesce(last_message_at, created_at) DESC, id DESC LIMIT 1
    """
)
_KNOWN: Final = text(
    """
    SELECT source_message_id FROM messages
    WHERE channel_id = :channel_id AND direction IN ('inbound', 'outbound')
      AND source_message_id = ANY(:mids)
    """
)


async def find_last_words(connection: AsyncConnection, channel_id: str) -> datetime | None:
    """Return when something was last said on a channel; None where nothing ever was."""
    found: datetime | None = (
        await connection.execute(_LAST_WORDS, {"channel_id": channel_id})
    ).scalar_one_or_none()
    return found


async def find_known_mids(
    connection: AsyncConnection, channel_id: str, mids: Collection[str]
) -> set[str]:
    """Return those of a platform's message ids that a channel has."""
    rows = await connection.execute(_KNOWN, {"channel_id": channel_id, "mids": list(mids)})
    return set(rows.scalars())


async def park_missed(
    connection: AsyncConnection,
    channel: Channel,
    events: Sequence[tuple[InboundEvent, int]],
    *,
    now: datetime,
) -> None:
    """Let events, each with the partition of its key, wait for routing in the order given."""
    by_key: dict[Key, list[dict[str, Any]]] = {}
    for event, partition in events:
        key = (event.kind, event.source_id, event.contact_id)
        by_key.setdefault(key, []).append(_row(channel, event, partition, now))
    for key in sorted(by_key):
        await lock_key(connection, key, make=True)
        for row in by_key[key]:
            await park(connection, row)


def _row(channel: Channel, event: InboundEvent, partition: int, now: datetime) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "source_id": event.source_id,
        "contact_id": event.contact_id,
        "event_id": event.id,
        "meta_app_id": event.meta_app_id,
        "owner_account_id": channel.account_id,
        "owner_channel_id": channel.id,
        "record_headers": json.dumps(headers_as_json(event.headers())),
        "record_value": event.value(),
        "original_hash": event.original_hash(),
        "record_partition": partition,
        "arrived_at": now,
        "parked_at": now,
        "expires_at": now + _KEPT,
    }
