"""Which channels nobody looks after yet, and how many there are to look after."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_UNWATCHED: Final = text(
    """
    SELECT c.account_id, c.id FROM channels c
    WHERE c.status IN ('active', 'degraded', 'disconnected') AND c.holds_source
      AND (c.kind = 'third_party') = :third_party
      AND (c.kind = 'third_party' OR c.page_access_token IS NOT NULL)
      AND NOT EXISTS (
        SELECT FROM errands e
        WHERE e.account_id = c.account_id AND e.kind = :kind AND e.subject_id = c.id)
    LIMIT :limit
    """
)
_COUNT: Final = text(
    "SELECT count(*) FROM channels WHERE holds_source AND page_access_token IS NOT NULL"
)


async def find_unwatched(
    connection: AsyncConnection, kind: str, *, third_party: bool, limit: int
) -> list[tuple[str, str]]:
    """Return accounts and ids of live channels without an errand of a kind."""
    found = await connection.execute(
        _UNWATCHED, {"kind": kind, "third_party": third_party, "limit": limit}
    )
    return [(row.account_id, row.id) for row in found]


async def count_pages(connection: AsyncConnection) -> int:
    """Return how many channels live by a Page token."""
    return int((await connection.execute(_COUNT)).scalar_one())
