"""Events that wait for their source: nobody owns it yet, or its channel is suspended.

Whoever parks and whoever drains locks the key's row first and reads ownership under that lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event that waits, in the order of `id`."""

    id: int
    kind: str
    source_id: str
    contact_id: str
    event_id: str
    owner_account_id: str | None
    owner_channel_id: str | None
    record_headers: dict[str, str]
    record_value: bytes
    record_partition: int
    original_hash: bytes
    arrived_at: datetime
    expires_at: datetime


_PARKED_AMONG: Final = text(
    """
    SELECT k.kind, k.source_id, k.contact_id FROM parked_keys k
    JOIN unnest(CAST(:kinds AS text[]), CAST(:sources AS text[]), CAST(:contacts AS text[]))
      AS r(kind, source_id, contact_id) USING (kind, source_id, contact_id)
    """
)
_MAKE_KEY: Final = text(
    """
    INSERT INTO parked_keys (kind, source_id, contact_id) VALUES (:kind, :source_id, :contact_id)
    ON CONFLICT DO NOTHING
    """
)
_LOCK_KEY: Final = text(
    """
    SELECT 1 FROM parked_keys
    WHERE kind = :kind AND source_id = :source_id AND contact_id = :contact_id FOR UPDATE
    """
)
_TRY_KEY: Final = text(
    """
    SELECT 1 FROM parked_keys
    WHERE kind = :kind AND source_id = :source_id AND contact_id = :contact_id
    FOR UPDATE SKIP LOCKED
    """
)
_DROP_KEY: Final = text(
    """
    DELETE FROM parked_keys k
    WHERE kind = :kind AND source_id = :source_id AND contact_id = :contact_id
      AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.kind = k.kind
                      AND p.source_id = k.source_id AND p.contact_id = k.contact_id)
    """
)
_COUNT: Final = text(
    """
    SELECT count(*) FROM (
      SELECT 1 FROM parked WHERE kind = :kind AND source_id = :source_id LIMIT :limit) AS few
    """
)
_PARK: Final = text(
    """
    INSERT INTO parked (kind, source_id, contact_id, event_id, meta_app_id, owner_account_id,
                        owner_channel_id, record_headers, record_value, record_partition,
                        original_hash, arrived_at, parked_at, expires_at)
    VALUES (:kind, :source_id, :contact_id, :event_id, :meta_app_id, :owner_account_id,
            :owner_channel_id, CAST(:record_headers AS jsonb), :record_value, :record_partition,
            :original_hash, :arrived_at, :parked_at, :expires_at)
    ON CONFLICT (event_id) DO UPDATE SET event_id = excluded.event_id
    RETURNING original_hash
    """
)
_COLUMNS: Final = (
    "id, kind, source_id, contact_id, event_id, owner_account_id, owner_channel_id, "
    "record_headers, record_value, record_partition, original_hash, arrived_at, expires_at"
)
_FIRST: Final = text(
    f"SELECT {_COLUMNS} FROM parked "  # noqa: S608 - constant column names
    "WHERE kind = :kind AND source_id = :source_id AND contact_id = :contact_id "
    "ORDER BY id LIMIT 1"
)
_DELETE: Final = text("DELETE FROM parked WHERE id = :id")
# Keys that may move: a row has waited for as long as it may, their source has a live channel, or
# some row's owner is done. Jumps from source to source, as most keys wait and may not move.
_DRAINABLE: Final = text(
    """
    WITH RECURSIVE sources(kind, source_id) AS (
      (SELECT kind, source_id FROM parked_keys ORDER BY kind, source_id LIMIT 1)
      UNION ALL
      SELECT n.kind, n.source_id FROM sources s CROSS JOIN LATERAL (
        SELECT kind, source_id FROM parked_keys k
        WHERE (k.kind, k.source_id) > (s.kind, s.source_id)
        ORDER BY kind, source_id LIMIT 1) AS n),
    known AS MATERIALIZED (
      SELECT c.kind, c.source_id, c.id, c.holds_source
      FROM sources s JOIN channels c ON c.kind = s.kind AND c.source_id = s.source_id
      WHERE c.status <> 'suspended')
    (SELECT kind, source_id, contact_id FROM parked WHERE expires_at <= :now
     ORDER BY expires_at LIMIT :limit)
    UNION
    (SELECT k.kind, k.source_id, k.contact_id FROM known c
     JOIN parked_keys k ON k.kind = c.kind AND k.source_id = c.source_id
     WHERE c.holds_source LIMIT :limit)
    UNION
    (SELECT p.kind, p.source_id, p.contact_id FROM known c
     JOIN parked p ON p.owner_channel_id = c.id AND p.kind = c.kind AND p.source_id = c.source_id
     WHERE NOT c.holds_source LIMIT :limit)
    """
)


async def find_parked_keys(connection: AsyncConnection, keys: Sequence[Key]) -> set[Key]:
    """Return those keys that have events waiting."""
    if not keys:
        return set()
    kinds, sources, contacts = zip(*keys, strict=True)
    rows = await connection.execute(
        _PARKED_AMONG,
        {"kinds": list(kinds), "sources": list(sources), "contacts": list(contacts)},
    )
    return {(row.kind, row.source_id, row.contact_id) for row in rows}


async def lock_key(connection: AsyncConnection, key: Key, *, make: bool) -> bool:
    """Lock a key's row, made when it is missing if `make` says so; False: there is none."""
    if make:
        await connection.execute(_MAKE_KEY, _named(key))
    return (await connection.execute(_LOCK_KEY, _named(key))).first() is not None


async def try_key(connection: AsyncConnection, key: Key) -> bool:
    """Lock a key's row unless somebody has it."""
    return (await connection.execute(_TRY_KEY, _named(key))).first() is not None


async def drop_key_if_empty(connection: AsyncConnection, key: Key) -> None:
    """Let a key's events take the straight way again when none waits any more."""
    await connection.execute(_DROP_KEY, _named(key))


async def count_parked(connection: AsyncConnection, key: Key, *, limit: int) -> int:
    """Return how many events of the key's source wait, counting no further than `limit`."""
    where = {"kind": key[0], "source_id": key[1], "limit": limit}
    return int((await connection.execute(_COUNT, where)).scalar_one())


async def park(connection: AsyncConnection, row: dict[str, Any]) -> bytes:
    """Let an event wait, and return the hash of the original that waits under its id.

    An event of the same id that waits already stays as it is.
    """
    kept = (await connection.execute(_PARK, row)).scalar_one()
    assert isinstance(kept, bytes)
    return kept


async def first_parked(connection: AsyncConnection, key: Key) -> ParkedEvent | None:
    """Return the event of a key that comes next."""
    row = (await connection.execute(_FIRST, _named(key))).mappings().one_or_none()
    return None if row is None else ParkedEvent(**row)


async def unpark(connection: AsyncConnection, parked_id: int) -> None:
    """Delete an event that waits no more."""
    await connection.execute(_DELETE, {"id": parked_id})


async def find_drainable(connection: AsyncConnection, *, now: datetime, limit: int) -> list[Key]:
    """Return keys whose first event may move now."""
    rows = await connection.execute(_DRAINABLE, {"now": now, "limit": limit})
    return [(row.kind, row.source_id, row.contact_id) for row in rows]


def _named(key: Key) -> dict[str, str]:
    return {"kind": key[0], "source_id": key[1], "contact_id": key[2]}
