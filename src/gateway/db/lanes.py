"""Lanes: what in them may leave next, and when a failing delivery no longer holds the others up."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.deliveries import DUE_COLUMNS, DUE_NAMES, Due, due_of
from gateway.db.statements import with_rows

# Wakes the sender where something was written that waits for others of its lane, which a
# settlement beside it may not have seen.
LANES: Final = "lanes"

# A target and the lane's name there.
Lane: TypeAlias = tuple[str, str]

_PROMOTE: Final = with_rows(
    f"""
    UPDATE deliveries d SET ready = true
    FROM (
      SELECT head.id FROM unnest(CAST(:targets AS text[]), CAST(:lanes AS text[]))
        AS l(target, lane)
      CROSS JOIN LATERAL (
        SELECT e.id, e.status, e.ready FROM deliveries e
        WHERE e.target_id = l.target AND e.lane = l.lane AND e.holds_lane
        ORDER BY e.ordinal LIMIT 1) AS head
      WHERE head.status = 'pending' AND NOT head.ready) AS h
    WHERE d.id = h.id
    RETURNING {DUE_COLUMNS}
    """,  # noqa: S608 - constant column names
    DUE_NAMES,
)

# Jumps from lane to lane, as the look for due ones does from target to target.
_FIND_WAITING_LANES: Final = with_rows(
    """
    SELECT t.target_id, t.lane FROM unnest(CAST(:shards AS smallint[])) AS s(shard)
    CROSS JOIN LATERAL (
      WITH RECURSIVE t(target_id, lane) AS (
        (SELECT target_id, lane FROM deliveries
         WHERE shard = s.shard AND status = 'pending' AND NOT ready
         ORDER BY target_id, lane LIMIT 1)
        UNION ALL
        (SELECT n.target_id, n.lane FROM t CROSS JOIN LATERAL (
           SELECT target_id, lane FROM deliveries
           WHERE shard = s.shard AND status = 'pending' AND NOT ready
             AND (target_id, lane) > (t.target_id, t.lane)
           ORDER BY target_id, lane LIMIT 1) AS n))
      SELECT target_id, lane FROM t) AS t
    WHERE NOT EXISTS (
      SELECT 1 FROM deliveries e WHERE e.target_id = t.target_id AND e.lane = t.lane
      AND e.holds_lane AND (e.ready OR e.status <> 'pending'))
    """,
    ["target_id", "lane"],
)

_FREE_LANES: Final = text(
    """
    UPDATE deliveries SET holds_lane = false
    WHERE shard = ANY(:shards) AND status = 'pending' AND holds_lane AND holds_until <= :now
    RETURNING target_id, lane
    """
)

_DEMOTE: Final = text(
    """
    UPDATE deliveries d SET ready = false
    WHERE d.id = ANY(:ids) AND d.status = 'pending' AND d.ready AND d.holds_lane AND EXISTS (
      SELECT 1 FROM deliveries e WHERE e.target_id = d.target_id AND e.lane = d.lane
      AND e.holds_lane AND e.ordinal < d.ordinal)
    RETURNING d.id
    """
)


async def promote_lanes(connection: AsyncConnection, lanes: Collection[Lane]) -> list[Due]:
    """Make the first of each lane ready, if nothing holds the lane; return those that became so."""
    if not lanes:
        return []
    rows = await connection.execute(
        _PROMOTE,
        {"targets": [target for target, _ in lanes], "lanes": [lane for _, lane in lanes]},
    )
    return [due_of(row) for row in rows if row.due_at is not None]


async def find_forgotten_lanes(connection: AsyncConnection, shards: Collection[int]) -> list[Lane]:
    """Return lanes in which deliveries wait although nothing holds them up.

    They come from an insert that did not see the settlement beside it.
    """
    rows = await connection.execute(_FIND_WAITING_LANES, {"shards": list(shards)})
    return [(row.target_id, row.lane) for row in rows]


async def free_lanes(
    connection: AsyncConnection, shards: Collection[int], *, now: datetime
) -> list[Lane]:
    """Let failing deliveries go on beside their lanes once they held them for long enough."""
    rows = await connection.execute(_FREE_LANES, {"shards": list(shards), "now": now})
    return [(row.target_id, row.lane) for row in rows]


async def demote(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Make those wait that something before them in their lane holds back; return which."""
    return set((await connection.execute(_DEMOTE, {"ids": list(ids)})).scalars())
