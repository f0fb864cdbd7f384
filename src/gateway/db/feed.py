"""The events feed of an account: public events in the order in which they were published."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.publishing import COLUMNS, CommittedEvent

_READ: Final = text(
    f"SELECT {COLUMNS} FROM events "  # noqa: S608 - constant column names
    "WHERE account_id = :account_id AND position > :after ORDER BY position LIMIT :limit"
)
_BOUNDS: Final = text(
    """
    SELECT (SELECT min(position) FROM events WHERE account_id = :account_id) AS oldest,
           coalesce((SELECT next_position FROM feed_counters WHERE account_id = :account_id), 1)
             AS next
    """
)


@dataclass(frozen=True, slots=True)
class FeedBounds:
    """The positions between which a feed can be read: `first` up to, not including, `end`."""

    first: int
    end: int


async def feed_bounds(connection: AsyncConnection, account_id: str) -> FeedBounds:
    """Return the position of the oldest event that is kept, and the one that comes next."""
    row = (await connection.execute(_BOUNDS, {"account_id": account_id})).one()
    return FeedBounds(row.next if row.oldest is None else row.oldest, row.next)


async def read_feed(
    connection: AsyncConnection, account_id: str, *, after: int, limit: int
) -> list[CommittedEvent]:
    """Return the events after a position; a position that is there has none missing before it."""
    rows = await connection.execute(
        _READ, {"account_id": account_id, "after": after, "limit": limit}
    )
    return [CommittedEvent(**row) for row in rows.mappings()]
