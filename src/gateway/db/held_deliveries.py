"""Deliveries of targets that are held: they wait without a due time, and leave in order."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.delivery import TargetKind

_HOLD: Final = text(
    """
    UPDATE deliveries SET due_at = NULL, held_at = :now
    WHERE shard = :shard AND target_id = :target_id AND status = 'pending'
      AND due_at IS NOT NULL AND kind <> 'action'
    """
)

_RELEASE: Final = text(
    """
    UPDATE deliveries d
    SET due_at = w.now, held_at = NULL,
        deadline_at = d.deadline_at + (w.now - coalesce(d.held_at, w.now)),
        holds_until = d.holds_until + (w.now - coalesce(d.held_at, w.now))
    FROM (SELECT CAST(:now AS timestamptz) AS now) AS w
    WHERE shard = :shard AND target_id = :target_id AND status = 'pending' AND due_at IS NULL
    """
)

_CANCEL_TARGET: Final = text(
    """
    UPDATE deliveries SET status = 'cancelled', holds_lane = false, settled_at = :now
    WHERE shard = :shard AND target_id = :target_id AND status = 'pending'
    """
)

_FIND_HELD: Final = text(
    """
    SELECT DISTINCT d.target_kind, d.target_id FROM deliveries d
    WHERE d.shard = ANY(:shards) AND d.status = 'pending' AND d.due_at IS NULL
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
    await connection.execute(_CANCEL_TARGET, {"target_id": target_id, "shard": shard, "now": now})


async def find_held_targets(
    connection: AsyncConnection, shards: Collection[int]
) -> list[tuple[TargetKind, str]]:
    """Return the targets in these shards that have held deliveries."""
    rows = await connection.execute(_FIND_HELD, {"shards": list(shards)})
    return [(TargetKind(row.target_kind), row.target_id) for row in rows]
