"""What the relay reads and marks: events without a position, and dead letters without a copy."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.moments import rfc3339
from gateway.db.statements import with_rows


@dataclass(frozen=True, slots=True)
class _EventRow:
    """What both readers of a row of `events` have of it."""

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

    def about(self) -> dict[str, Any]:
        """Return what a record's value says beside the data."""
        return {
            "account_id": self.account_id,
            "channel_id": self.channel_id,
            "conversation_id": self.conversation_id,
            "enquiry_id": self.enquiry_id,
        }


@dataclass(frozen=True, slots=True)
class UnpublishedEvent(_EventRow):
    """A row of `events`, as the relay publishes it; its data stay the text that they are."""

    data: str

    def value(self) -> bytes:
        """Return the JSON value of its Kafka record."""
        head = json.dumps(self.about(), separators=(",", ":"))
        return f'{head[:-1]},"data":{self.data}}}'.encode()


@dataclass(frozen=True, slots=True)
class CommittedEvent(_EventRow):
    """A row of `events`, as the feed shows it."""

    data: dict[str, Any]
    position: int | None

    def body(self) -> dict[str, Any]:
        """Return what the record's value says."""
        return {**self.about(), "data": self.data}

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturningLetter:
    """A dead letter whose record is asked to be back on its topic."""

    id: str
    topic: str
    partition: int | None
    record_key: bytes | None
    record_headers: dict[str, str]
    record_value: bytes


COLUMNS: Final = (
    "created_at, id, account_id, channel_id, conversation_id, enquiry_id, type, key, sequence, "
    "source, subject, occurred_at, traceparent, data, position"
)
# The bounds tell the planner, or the executor, which days to look at; joined moments alone make it
# weigh an index scan of every day against reading all days from end to end.
_OF_THESE_DAYS: Final = "e.created_at BETWEEN :first AND :last"
_PUBLISHED: Final = ", ".join(field.name for field in fields(UnpublishedEvent)[:-1])
# Along the partial index of what is not published; keys follow one another, each in its order.
_UNPUBLISHED: Final = with_rows(
    f"SELECT {_PUBLISHED}, CAST(data AS text) FROM events "  # noqa: S608 - constant column names
    "WHERE position IS NULL AND shard = ANY(:shards) ORDER BY shard, key, sequence LIMIT :limit",
    [field.name for field in fields(UnpublishedEvent)],
)
_MAKE_COUNTERS: Final = text(
    """
    INSERT INTO feed_counters (account_id) SELECT unnest(CAST(:account_ids AS text[]))
    ON CONFLICT DO NOTHING
    """
)
_LOCK_COUNTERS: Final = text(
    """
    SELECT account_id FROM feed_counters WHERE account_id = ANY(:account_ids)
    ORDER BY account_id FOR UPDATE
    """
)
# The counters are locked by a statement before, so that this one sees what their last holder did.
_POSITION: Final = text(
    f"""
    WITH placed AS (
      SELECT e.created_at, e.id, e.account_id,
             row_number() OVER (PARTITION BY e.account_id ORDER BY r.n) AS place
      FROM unnest(CAST(:moments AS timestamptz[]), CAST(:ids AS text[]))
        WITH ORDINALITY AS r(created_at, id, n)
      JOIN events e ON e.created_at = r.created_at AND e.id = r.id
      WHERE e.position IS NULL AND {_OF_THESE_DAYS}),
    counted AS (
      UPDATE feed_counters f SET next_position = f.next_position + c.events
      FROM (SELECT account_id, count(*) AS events FROM placed GROUP BY account_id) AS c
      WHERE f.account_id = c.account_id
      RETURNING f.account_id, f.next_position - c.events AS first)
    UPDATE events e SET position = c.first + p.place - 1
    FROM placed p JOIN counted c ON c.account_id = p.account_id
    WHERE e.created_at = p.created_at AND e.id = p.id AND {_OF_THESE_DAYS}
    """  # noqa: S608 - a constant condition
)
_UNCOPIED: Final = text(
    """
    SELECT id, reason, stage, attempts, at, record_key, record_headers, record_value
    FROM dead_letters WHERE published_at IS NULL ORDER BY id LIMIT :limit
    """
)
# In the order in which they were set aside, as far as they were asked for together.
_RETURNING: Final = text(
    """
    SELECT id, topic, partition, record_key, record_headers, record_value
    FROM dead_letters WHERE put_back_at IS NOT NULL ORDER BY put_back_at, id LIMIT :limit
    """
)
_RETURNED: Final = text(
    "UPDATE dead_letters SET put_back_at = NULL, redelivered_at = :now WHERE id = ANY(:ids)"
)
_COPIED: Final = text("UPDATE dead_letters SET published_at = :now WHERE id = ANY(:ids)")


async def find_unpublished(
    connection: AsyncConnection, shards: Collection[int], *, limit: int
) -> list[UnpublishedEvent]:
    """Return committed events that have no position yet, those of a key in their order."""
    rows = await connection.execute(_UNPUBLISHED, {"shards": list(shards), "limit": limit})
    return [UnpublishedEvent(*row) for row in rows]


async def give_positions(connection: AsyncConnection, events: Sequence[UnpublishedEvent]) -> None:
    """Give events their places in their accounts' feeds, in the order given.

    The counters' rows are locked: who reads a feed sees positions appear without gaps, in the
    order in which they are committed. An event that has one already keeps it.
    """
    accounts = {"account_ids": sorted({event.account_id for event in events})}
    locked = (await connection.execute(_LOCK_COUNTERS, accounts)).all()
    if len(locked) < len(accounts["account_ids"]):
        await connection.execute(_MAKE_COUNTERS, accounts)
        await connection.execute(_LOCK_COUNTERS, accounts)
    moments = [event.created_at for event in events]
    await connection.execute(
        _POSITION,
        {
            "moments": moments,
            "ids": [event.id for event in events],
            "first": min(moments),
            "last": max(moments),
        },
    )


async def find_uncopied(connection: AsyncConnection, *, limit: int) -> list[UncopiedLetter]:
    """Return dead letters that are not on their topic yet, oldest first."""
    rows = await connection.execute(_UNCOPIED, {"limit": limit})
    return [UncopiedLetter(**row) for row in rows.mappings()]


async def mark_copied(
    connection: AsyncConnection, letter_ids: Sequence[str], *, now: datetime
) -> None:
    """Note that dead letters are on their topic."""
    await connection.execute(_COPIED, {"ids": list(letter_ids), "now": now})


async def find_returning(connection: AsyncConnection, *, limit: int) -> list[ReturningLetter]:
    """Return dead letters whose records are to be put back on their topics, in order."""
    rows = await connection.execute(_RETURNING, {"limit": limit})
    return [ReturningLetter(**row) for row in rows.mappings()]


async def mark_returned(
    connection: AsyncConnection, letter_ids: Sequence[str], *, now: datetime
) -> None:
    """Note that the records of dead letters are back on their topics."""
    await connection.execute(_RETURNED, {"ids": list(letter_ids), "now": now})
