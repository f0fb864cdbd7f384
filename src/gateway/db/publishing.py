"""What the relay reads and marks: events without a position, and dead letters without a copy."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.moments import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedEvent:
    """A row of `events`, as it is published."""

    created_at: datetime
    id: str
    account_id: str
    channel_id: str | None
    conversation_id: str | None
    enquiry_id: str | None
    type: str
    key: str
    sequence: int
    source: str
    subject: str | None
    occurred_at: datetime
    traceparent: str | None
    data: dict[str, Any]
    position: int | None

    def value(self) -> bytes:
        """Return the JSON value of its Kafka record."""
        return json.dumps(self.body(), ensure_ascii=False, separators=(",", ":")).encode()

    def body(self) -> dict[str, Any]:
        """Return what the record's value says."""
        return {
            "account_id": self.account_id,
            "channel_id": self.channel_id,
            "conversation_id": self.conversation_id,
            "enquiry_id": self.enquiry_id,
            "data": self.data,
        }

    def feed_item(self) -> dict[str, Any]:
        """Return its form in the events feed."""
        return {
            "id": self.id,
            "type": self.type,
            "sequence": str(self.sequence),
            "timestamp": rfc3339(self.occurred_at),
            **self.body(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UncopiedLetter:
    """A dead letter whose copy is not on its topic yet."""

    id: str
    reason: str
    stage: str
    attempts: int
    at: datetime
    record_key: bytes | None
    record_headers: dict[str, str]
    record_value: bytes | None


COLUMNS: Final = (
    "created_at, id, account_id, channel_id, conversation_id, enquiry_id, type, key, sequence, "
    "source, subject, occurred_at, traceparent, data, position"
)
# Along the partial index of what is not published; keys follow one another, each in its order.
_UNPUBLISHED: Final = text(
    f"SELECT {COLUMNS} FROM events "  # noqa: S608 - constant column names
    "WHERE position IS NULL AND shard = ANY(:shards) ORDER BY shard, key, sequence LIMIT :limit"
)
_MAKE_COUNTERS: Final = text(
    """
    INSERT INTO feed_counters (account_id) SELECT unnest(CAST(:account_ids AS text[]))
    ON CONFLICT DO NOTHING
    """
)
_LOCK_COUNTERS: Final = text(
    """
    SELECT account_id, next_position FROM feed_counters WHERE account_id = ANY(:account_ids)
    ORDER BY account_id FOR UPDATE
    """
)
_STILL_UNPUBLISHED: Final = text(
    """
    SELECT e.id FROM events e
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(created_at timestamptz, id text)
      ON e.created_at = r.created_at AND e.id = r.id
    WHERE e.position IS NULL
    """
)
_POSITION: Final = text(
    """
    UPDATE events e SET position = r.position
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
      AS r(created_at timestamptz, id text, position bigint)
    WHERE e.created_at = r.created_at AND e.id = r.id
    """
)
_COUNT: Final = text(
    """
    UPDATE feed_counters f SET next_position = r.next_position
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(account_id text, next_position bigint)
    WHERE f.account_id = r.account_id
    """
)
_UNCOPIED: Final = text(
    """
    SELECT id, reason, stage, attempts, at, record_key, record_headers, record_value
    FROM dead_letters WHERE published_at IS NULL ORDER BY id LIMIT :limit
    """
)
_COPIED: Final = text("UPDATE dead_letters SET published_at = :now WHERE id = ANY(:ids)")


async def find_unpublished(
    connection: AsyncConnection, shards: Collection[int], *, limit: int
) -> list[CommittedEvent]:
    """Return committed events that have no position yet, those of a key in their order."""
    rows = await connection.execute(_UNPUBLISHED, {"shards": list(shards), "limit": limit})
    return [CommittedEvent(**row) for row in rows.mappings()]


async def give_positions(connection: AsyncConnection, events: Sequence[CommittedEvent]) -> None:
    """Give events their places in their accounts' feeds, in the order given.

    The counters' rows are locked: who reads a feed sees positions appear without gaps, in the
    order in which they are committed. An event that has one already keeps it.
    """
    account_ids = sorted({event.account_id for event in events})
    await connection.execute(_MAKE_COUNTERS, {"account_ids": account_ids})
    locked = await connection.execute(_LOCK_COUNTERS, {"account_ids": account_ids})
    next_positions = {row.account_id: row.next_position for row in locked}
    named = [{"created_at": event.created_at.isoformat(), "id": event.id} for event in events]
    unpublished = await connection.execute(_STILL_UNPUBLISHED, {"rows": json.dumps(named)})
    wanting = set(unpublished.scalars())
    placed = []
    for event, row in zip(events, named, strict=True):
        if event.id in wanting:
            placed.append(row | {"position": next_positions[event.account_id]})
            next_positions[event.account_id] += 1
    await connection.execute(_POSITION, {"rows": json.dumps(placed)})
    counters = [
        {"account_id": account_id, "next_position": position}
        for account_id, position in next_positions.items()
    ]
    await connection.execute(_COUNT, {"rows": json.dumps(counters)})


async def find_uncopied(connection: AsyncConnection, *, limit: int) -> list[UncopiedLetter]:
    """Return dead letters that are not on their topic yet, oldest first."""
    rows = await connection.execute(_UNCOPIED, {"limit": limit})
    return [UncopiedLetter(**row) for row in rows.mappings()]


async def mark_copied(
    connection: AsyncConnection, letter_ids: Sequence[str], *, now: datetime
) -> None:
    """Note that dead letters are on their topic."""
    await connection.execute(_COPIED, {"ids": list(letter_ids), "now": now})
