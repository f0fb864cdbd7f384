"""The inbox: which events have had their effect, by id, for eight days."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.statements import with_rows

_FIND: Final = with_rows(
    "SELECT event_id, original_hash FROM inbox WHERE event_id = ANY(:ids)",
    ["event_id", "original_hash"],
)
_INSERT: Final = text(
    """
    INSERT INTO inbox (event_id, original_hash, received_at)
    SELECT event_id, original_hash, :at
    FROM unnest(CAST(:ids AS text[]), CAST(:hashes AS bytea[])) AS r(event_id, original_hash)
    ON CONFLICT DO NOTHING
    """
)
_FORGET: Final = text("DELETE FROM inbox WHERE event_id = ANY(:ids)")


class SeenMeanwhileError(Exception):
    """Another transaction took an event first; this one must be rolled back and done anew."""


async def find_seen(connection: AsyncConnection, event_ids: Iterable[str]) -> dict[str, bytes]:
    """Return those events that have had their effect, with the SHA-256 of their originals."""
    rows = await connection.execute(_FIND, {"ids": list(event_ids)})
    return {row.event_id: row.original_hash for row in rows}


async def remember_seen(
    connection: AsyncConnection, hashes: Mapping[str, bytes], *, at: datetime
) -> None:
    """Note that events have their effect with this transaction.

    Raises:
        SeenMeanwhileError: One of them had it already.
    """
    if not hashes:
        return
    result = await connection.execute(
        _INSERT, {"ids": list(hashes), "hashes": list(hashes.values()), "at": at}
    )
    if result.rowcount != len(hashes):
        raise SeenMeanwhileError


async def forget_seen(connection: AsyncConnection, event_ids: Collection[str]) -> None:
    """Let events have their effect that were set aside without one."""
    if event_ids:
        await connection.execute(_FORGET, {"ids": list(event_ids)})
