"""What the sender must know of a target before it calls it: limits, rests, health."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.delivery import TargetKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimits:
    """What limits a target; None: the kind's own limit."""

    target_id: str
    concurrency: int | None = None
    # Calls a second.
    rate: int | None = None
    rests_until: datetime | None = None
    slow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How the latest attempts at an endpoint went, taken together."""

    succeeded: bool
    timed_out: bool


_LIMITS: Final = text(
    """
    SELECT id AS target_id, max_concurrency AS concurrency, rate_limit AS rate,
           throttled_until AS rests_until, last_attempt_timed_out AS slow
    FROM endpoints WHERE id = ANY(:ids)
    UNION ALL
    SELECT id, NULL, NULL, throttled_until, false FROM channels WHERE id = ANY(:ids)
    """
)

# Rows that stay as they are are not written.
_NOTE_HEALTH: Final = text(
    """
    UPDATE endpoints e
    SET failing_since = CASE WHEN r.succeeded THEN NULL ELSE coalesce(e.failing_since, :now) END,
        last_attempt_timed_out = r.timed_out
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id text, succeeded boolean,
                                                       timed_out boolean)
    WHERE e.id = r.id AND (e.last_attempt_timed_out <> r.timed_out
                           OR (e.failing_since IS NULL) <> r.succeeded)
    """
)

_FAILING: Final = text("SELECT id FROM endpoints WHERE id = ANY(:ids) AND failing_since <= :since")

_REST_ENDPOINT: Final = text(
    "UPDATE endpoints SET throttled_until = greatest(throttled_until, :until) WHERE id = :id"
)
_REST_CHANNEL: Final = text(
    "UPDATE channels SET throttled_until = greatest(throttled_until, :until) WHERE id = :id"
)
# A limit of the app's is a limit of each of its Pages; rows are locked in one order.
_REST_APP: Final = text(
    """
    WITH locked AS (
      SELECT id FROM channels
      WHERE meta_app_id = (SELECT meta_app_id FROM channels WHERE id = :id) AND holds_source
      ORDER BY id FOR UPDATE)
    UPDATE channels c SET throttled_until = greatest(c.throttled_until, :until)
    FROM locked l WHERE c.id = l.id
    """
)


async def find_limits(
    connection: AsyncConnection, target_ids: Collection[str]
) -> list[TargetLimits]:
    """Return the limits of targets."""
    rows = await connection.execute(_LIMITS, {"ids": list(target_ids)})
    return [TargetLimits(**row) for row in rows.mappings()]


async def note_health(
    connection: AsyncConnection, health: Mapping[str, EndpointHealth], *, now: datetime
) -> None:
    """Note how attempts at endpoints went, by endpoint."""
    rows = [
        {"id": endpoint_id, "succeeded": each.succeeded, "timed_out": each.timed_out}
        for endpoint_id, each in sorted(health.items())
    ]
    await connection.execute(_NOTE_HEALTH, {"rows": json.dumps(rows), "now": now})


async def find_failing(
    connection: AsyncConnection, endpoint_ids: Collection[str], *, since: datetime
) -> list[str]:
    """Return those endpoints that did nothing but fail since a moment or longer."""
    rows = await connection.execute(_FAILING, {"ids": list(endpoint_ids), "since": since})
    return sorted(rows.scalars())


async def rest_target(
    connection: AsyncConnection,
    kind: TargetKind,
    target_id: str,
    *,
    until: datetime,
    wide: bool = False,
) -> None:
    """Let a target rest until a moment; `wide`: with it all channels of its Meta app."""
    if kind is TargetKind.ENDPOINT:
        statement = _REST_ENDPOINT
    else:
        statement = _REST_APP if wide else _REST_CHANNEL
    await connection.execute(statement, {"id": target_id, "until": until})
