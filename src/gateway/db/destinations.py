"""All who can take an enquiry, whatever they are."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.search import as_pattern

_LIST: Final = text(
    """
    SELECT id, kind, name FROM (
      SELECT id, 'agent' AS kind, concat_ws(' ', first_name, last_name) AS name FROM agents
      WHERE account_id = :account_id AND deleted_at IS NULL
      UNION ALL
      SELECT id, 'team', name FROM teams
      WHERE account_id = :account_id AND deleted_at IS NULL
      UNION ALL
      SELECT id, 'bot', name FROM bots
      WHERE account_id = :account_id AND deleted_at IS NULL
      UNION ALL
      SELECT id, 'endpoint', name FROM endpoints
      WHERE account_id = :account_id AND deleted_at IS NULL) AS d
    WHERE (CAST(:kind AS text) IS NULL OR kind = :kind)
      AND (CAST(:pattern AS text) IS NULL OR name ILIKE :pattern)
      AND (CAST(:after AS text) IS NULL OR id > :after COLLATE "C")
    ORDER BY id LIMIT :limit
    """
)


async def list_destinations(
    connection: AsyncConnection,
    account_id: str,
    *,
    kind: str | None,
    search: str | None,
    after: str | None,
    limit: int,
) -> list[dict[str, str]]:
    """Return the id, kind and name of an account's destinations, kind by kind, oldest first."""
    rows = await connection.execute(
        _LIST,
        {
            "account_id": account_id,
            "kind": kind,
            "pattern": None if search is None else as_pattern(search),
            "after": after,
            "limit": limit,
        },
    )
    return [dict(row) for row in rows.mappings()]


async def find_unknown_channels(
    connection: AsyncConnection, account_id: str, channel_ids: list[str]
) -> list[str]:
    """Return those ids that are not of channels of the account."""
    rows = await connection.execute(
        text("SELECT id FROM channels WHERE account_id = :account_id AND id = ANY(:ids)"),
        {"account_id": account_id, "ids": channel_ids},
    )
    known = set(rows.scalars())
    return [channel_id for channel_id in channel_ids if channel_id not in known]
