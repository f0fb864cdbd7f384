"""What the sender must know of a target before it calls it: limits, rests, health."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import counted, rows_of
from gateway.db.statements import with_rows
from gateway.domain.delivery import TargetKind
from gateway.domain.endpoint_health import LEAST_FAILURES, SILENCE, Failing
from gateway.domain.pacing import Pace
from gateway.domain.usage import TOLD_FOR

# How often it is written down that an endpoint fails still.
_NOTED_EACH: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimits:
    """What limits a target; None: the kind's own limit."""

    target_id: str
    account_id: str
    concurrency: int | None = None
    # Calls a second.
    rate: int | None = None
    rests_until: datetime | None = None
    slow: bool = False
    # What the process before us learnt of it.
    pace: Pace | None = None
    # A Page's Meta app, whose limit accounts share.
    app_id: str | None = None
    app_rests_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How the latest attempts at an endpoint went, taken together."""

    succeeded: bool
    timed_out: bool
    failures: int = 0


_LIMIT_NAMES: Final = (
    "target_id",
    "account_id",
    "concurrency",
    "rate",
    "rests_until",
    "slow",
    "app_id",
    "app_rests_until",
    "pace_rate",
    "felt",
    "usage_percent",
    "decided_at",
)
_LIMITS: Final = with_rows(
    """
    SELECT e.id AS target_id, e.account_id, e.max_concurrency AS concurrency, e.rate_limit AS rate,
           e.throttled_until AS rests_until, e.last_attempt_timed_out AS slow,
           NULL AS app_id, NULL AS app_rests_until,
           p.rate AS pace_rate, p.felt, p.usage_percent, p.decided_at
    FROM endpoints e
    LEFT JOIN target_paces p
      ON p.account_id = e.account_id AND p.target_id = e.id AND p.decided_at > :since
    WHERE e.id = ANY(:ids)
    UNION ALL
    SELECT c.id, c.account_id, NULL, NULL, c.throttled_until, false,
           c.meta_app_id, a.rests_until,
           p.rate, p.felt, p.usage_percent, p.decided_at
    FROM channels c
    LEFT JOIN target_paces p
      ON p.account_id = c.account_id AND p.target_id = c.id AND p.decided_at > :since
    LEFT JOIN app_limits a ON a.app_id = c.meta_app_id
    WHERE c.id = ANY(:ids)
    """,
    _LIMIT_NAMES,
)

_HEALTH: Final = "id text, succeeded boolean, timed_out boolean, failures integer"
# Rows that stay as they are are not written, nor are failures that change nothing any more.
_NOTE_HEALTH: Final = text(
    f"""
    WITH told AS (
      SELECT e.account_id, e.id, r.succeeded, r.timed_out, r.failures,
             e.failing_since IS NULL OR e.last_failed_at < :forgotten AS begins
      FROM {rows_of(_HEALTH)}
      JOIN endpoints e ON e.id = r.id
      WHERE e.last_attempt_timed_out <> r.timed_out OR (e.failing_since IS NULL) <> r.succeeded
        OR (NOT r.succeeded AND (e.failures < :enough OR e.last_failed_at < :noted_before)))
    UPDATE endpoints e
    SET failing_since = CASE WHEN t.succeeded THEN NULL WHEN t.begins THEN :now
                             ELSE e.failing_since END,
        failures = CASE WHEN t.succeeded THEN 0 WHEN t.begins THEN t.failures
                        ELSE e.failures + t.failures END,
        last_failed_at = CASE WHEN t.succeeded THEN NULL ELSE CAST(:now AS timestamptz) END,
        failing_told_at = CASE WHEN t.succeeded OR t.begins THEN NULL ELSE e.failing_told_at END,
        last_attempt_timed_out = t.timed_out
    FROM told t WHERE e.account_id = t.account_id AND e.id = t.id
    """  # noqa: S608 - constant column names
)

_FAILING: Final = text(
    """
    SELECT id, failing_since, failures, failing_told_at FROM endpoints
    WHERE id = ANY(:ids) AND failing_since IS NOT NULL
    """
)

_NOTE_TOLD: Final = text("UPDATE endpoints SET failing_told_at = :now WHERE id = :id")

_REST_ENDPOINT: Final = text(
    "UPDATE endpoints SET throttled_until = greatest(throttled_until, :until) WHERE id = :id"
)
_REST_CHANNEL: Final = text(
    "UPDATE channels SET throttled_until = greatest(throttled_until, :until) WHERE id = :id"
)


async def find_limits(
    connection: AsyncConnection, target_ids: Collection[str], *, now: datetime
) -> list[TargetLimits]:
    """Return the limits of targets; what was learnt longer than an hour ago is left out."""
    rows = await connection.execute(_LIMITS, {"ids": list(target_ids), "since": now - TOLD_FOR})
    return [_limits(row) for row in rows]


async def note_health(
    connection: AsyncConnection, health: Mapping[str, EndpointHealth], *, now: datetime
) -> None:
    """Note how attempts at endpoints went, by endpoint."""
    rows = [
        {
            "id": endpoint_id,
            "succeeded": each.succeeded,
            "timed_out": each.timed_out,
            "failures": each.failures,
        }
        for endpoint_id, each in sorted(health.items())
    ]
    await connection.execute(
        _NOTE_HEALTH,
        {
            **counted(rows),
            "now": now,
            "forgotten": now - SILENCE,
            "noted_before": now - _NOTED_EACH,
            "enough": LEAST_FAILURES,
        },
    )


async def find_failing(
    connection: AsyncConnection, endpoint_ids: Collection[str]
) -> dict[str, Failing]:
    """Return, of those endpoints that did nothing but fail of late, since when and how often."""
    rows = await connection.execute(_FAILING, {"ids": list(endpoint_ids)})
    return {
        row.id: Failing(
            since=row.failing_since, failures=row.failures, told=row.failing_told_at is not None
        )
        for row in rows
    }


async def note_told(connection: AsyncConnection, endpoint_id: str, *, now: datetime) -> None:
    """Note that it was told of an endpoint that it fails."""
    await connection.execute(_NOTE_TOLD, {"id": endpoint_id, "now": now})


async def rest_target(
    connection: AsyncConnection, kind: TargetKind, target_id: str, *, until: datetime
) -> None:
    """Let a target rest until a moment."""
    statement = _REST_ENDPOINT if kind is TargetKind.ENDPOINT else _REST_CHANNEL
    await connection.execute(statement, {"id": target_id, "until": until})


def _limits(row: Row[Any]) -> TargetLimits:
    pace = None
    if row.pace_rate is not None:
        pace = Pace(
            rate=row.pace_rate,
            felt=row.felt,
            percent=row.usage_percent or 0,
            decided_at=row.decided_at,
        )
    return TargetLimits(
        target_id=row.target_id,
        account_id=row.account_id,
        concurrency=row.concurrency,
        rate=row.rate,
        rests_until=row.rests_until,
        slow=row.slow,
        pace=pace,
        app_id=row.app_id,
        app_rests_until=row.app_rests_until,
    )
