"""Deliveries of targets that are held: they wait without a due time, and leave in order."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.delivery import TargetKind

# Each arm has an index of its own that holds nothing else.
_LEAVING: Final = """
    shard = :shard AND target_id = :target_id AND (
      status = 'pending' AND ready AND due_at IS NOT NULL
      OR status = 'pending' AND NOT ready AND due_at IS NOT NULL)
"""
_HELD: Final = """
    shard = :shard AND target_id = :target_id AND status = 'pending' AND due_at IS NULL
"""

_HOLD: Final = text(
    f"""
    UPDATE deliveries SET due_at = NULL, held_at = :now
    WHERE {_LEAVING} AND kind <> 'action'
    """  # noqa: S608 - a constant condition
)

_RELEASE: Final = text(
    f"""
    UPDATE deliveries d
    SET due_at = w.now, held_at = NULL,
        deadline_at = d.deadline_at + (w.now - coalesce(d.held_at, w.now)),
        holds_until = d.holds_until + (w.now - coalesce(d.held_at, w.now))
    FROM (SELECT CAST(:now AS timestamptz) AS now) AS w
    WHERE {_HELD}
    """  # noqa: S608 - a constant condition
)

_CANCEL: Final = "UPDATE deliveries SET status = 'cancelled', holds_lane = false, settled_at = :now"
_CANCEL_LEAVING: Final = text(f"{_CANCEL} WHERE {_LEAVING}")
_CANCEL_HELD: Final = text(f"{_CANCEL} WHERE {_HELD}")

# Jumps from target to target, so that one with a million deliveries costs as much as one with ten.
_FIND_HELD: Final = text(
    """
    SELECT t.target_kind, t.target_id FROM unnest(CAST(:shards AS smallint[])) AS s(shard)
    CROSS JOIN LATERAL (
      WITH RECURSIVE t(target_kind, target_id) AS (
        (SELECT target_kind, target_id FROM deliveries
         WHERE shard = s.shard AND status = 'pending' AND due_at IS NULL
         ORDER BY target_id LIMIT 1)
        UNION ALL
        (SELECT n.target_kind, n.target_id FROM t CROSS JOIN LATERAL (
           SELECT target_kind, target_id FROM deliveries
           WHERE shard = s.shard AND status = 'pending' AND due_at IS NULL
             AND target_id > t.target_id
           ORDER BY target_id LIMIT 1) AS n))
      SELECT target_kind, target_id FROM t) AS t
    """
)


async def hold_deliveries(
    connection: AsyncConnection, target_id: str, *, shard: int, now: datetime
) -> None:
    """Let all pending deliveries of a target wait until they are released."""
    await connection.execute(_HOLD, {"target_id": target_id, "shard": shard, "now": now})


async def release_deliveries(
    connection: AsyncConnection, target_id: str, *, shard: int, now: datetime
) -> None:
    """Let held deliveries leave, in order; the time for which they were held does not count."""
    await connection.execute(_RELEASE, {"target_id": target_id, "shard": shard, "now": now})


async def cancel_deliveries(
    connection: AsyncConnection, target_id: str, *, shard: int, now: datetime
) -> None:
    """Cancel all pending deliveries of a target that is no more."""
    for statement in (_CANCEL_LEAVING, _CANCEL_HELD):
        await connection.execute(statement, {"target_id": target_id, "shard": shard, "now": now})


async def find_held_targets(
    connection: AsyncConnection, shards: Collection[int]
) -> list[tuple[TargetKind, str]]:
    """Return the targets in these shards that have held deliveries."""
    rows = await connection.execute(_FIND_HELD, {"shards": list(shards)})
    return [(TargetKind(row.target_kind), row.target_id) for row in rows]
