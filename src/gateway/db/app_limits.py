"""Limits of whole Meta apps, which all accounts and all processes share.

A row is written by whoever was told something new; its pace is decided by one process at a time,
under the row's lock.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.pacing import Pace

# Renewals come every 2 s; who missed three is gone.
_FRESH: Final = timedelta(seconds=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppLimit:
    """What is known of an app's limit."""

    app_id: str
    usage_percent: int
    told_at: datetime | None
    pace: Pace | None
    rests_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDemand:
    """What one process would send through an app for an account: calls a second."""

    app_id: str
    account_id: str
    wanted: float
    made: float


_FIND: Final = "SELECT * FROM app_limits WHERE app_id = ANY(:ids) ORDER BY app_id"
_READ: Final = text(_FIND)
_LOCK: Final = text(f"{_FIND} FOR UPDATE")

# An app that was deleted meanwhile needs none.
_MAKE: Final = text(
    """
    INSERT INTO app_limits (app_id)
    SELECT app_id FROM meta_apps WHERE app_id = ANY(:ids) ORDER BY app_id
    ON CONFLICT (app_id) DO NOTHING
    """
)

_SAVE: Final = text(
    """
    UPDATE app_limits
    SET usage_percent = :usage_percent, told_at = :told_at, rate = :rate, felt = :felt,
        decided_at = :decided_at
    WHERE app_id = :app_id
    """
)

_REST: Final = text(
    """
    INSERT INTO app_limits (app_id, rests_until)
    SELECT app_id, :until FROM meta_apps WHERE app_id = :app_id
    ON CONFLICT (app_id)
    DO UPDATE SET rests_until = greatest(app_limits.rests_until, excluded.rests_until)
    """
)

_NOTE: Final = text(
    """
    INSERT INTO app_demands (app_id, account_id, process_id, wanted, made, noted_at)
    SELECT r.app_id, r.account_id, :process_id, r.wanted, r.made, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(app_id text, account_id text,
                                                       wanted float8, made float8)
    ORDER BY r.app_id, r.account_id
    ON CONFLICT (app_id, account_id, process_id)
    DO UPDATE SET wanted = excluded.wanted, made = excluded.made, noted_at = excluded.noted_at
    """
)

_FORGET: Final = text("DELETE FROM app_demands WHERE app_id = ANY(:ids) AND noted_at < :before")

_SUM: Final = text(
    """
    SELECT app_id, account_id, sum(wanted) AS wanted, sum(made) AS made FROM app_demands
    WHERE app_id = ANY(:ids) AND noted_at >= :since GROUP BY app_id, account_id
    """
)


async def find_app_limits(
    connection: AsyncConnection, app_ids: Collection[str]
) -> dict[str, AppLimit]:
    """Return what is known of apps' limits, by app."""
    rows = await connection.execute(_READ, {"ids": list(app_ids)})
    return {row.app_id: _limit(row) for row in rows}


async def lock_app_limits(
    connection: AsyncConnection, app_ids: Collection[str]
) -> dict[str, AppLimit]:
    """Lock the rows of apps in order, made where they are missing, and return them by app."""
    await connection.execute(_MAKE, {"ids": list(app_ids)})
    rows = await connection.execute(_LOCK, {"ids": list(app_ids)})
    return {row.app_id: _limit(row) for row in rows}


async def save_app_limit(connection: AsyncConnection, limit: AppLimit) -> None:
    """Write back what was told and decided; the row is locked."""
    pace = limit.pace
    await connection.execute(
        _SAVE,
        {
            "app_id": limit.app_id,
            "usage_percent": limit.usage_percent,
            "told_at": limit.told_at,
            "rate": None if pace is None else pace.rate,
            "felt": None if pace is None else pace.felt,
            "decided_at": None if pace is None else pace.decided_at,
        },
    )


async def rest_app(connection: AsyncConnection, app_id: str, *, until: datetime) -> None:
    """Let everything that goes through an app rest until a moment."""
    await connection.execute(_REST, {"app_id": app_id, "until": until})


async def note_demands(
    connection: AsyncConnection,
    demands: Iterable[AppDemand],
    *,
    process_id: str,
    app_ids: Collection[str],
    now: datetime,
) -> dict[str, Mapping[str, AppDemand]]:
    """Write down what this process would send; return what all would, by app and account.

    The rows of these apps are locked. What silent processes wanted is forgotten.
    """
    rows = [
        {
            "app_id": each.app_id,
            "account_id": each.account_id,
            "wanted": each.wanted,
            "made": each.made,
        }
        for each in demands
        if each.app_id in app_ids
    ]
    ids = list(app_ids)
    await connection.execute(_FORGET, {"ids": ids, "before": now - 8 * _FRESH})
    if rows:
        parameters = {"rows": json.dumps(rows), "process_id": process_id, "now": now}
        await connection.execute(_NOTE, parameters)
    total: dict[str, dict[str, AppDemand]] = {}
    for row in (await connection.execute(_SUM, {"ids": ids, "since": now - _FRESH})).mappings():
        total.setdefault(row["app_id"], {})[row["account_id"]] = AppDemand(**row)
    return {app_id: total.get(app_id, {}) for app_id in app_ids}


def _limit(row: Row[Any]) -> AppLimit:
    pace = None
    if row.rate is not None:
        pace = Pace(
            rate=row.rate, felt=row.felt, percent=row.usage_percent, decided_at=row.decided_at
        )
    return AppLimit(
        app_id=row.app_id,
        usage_percent=row.usage_percent,
        told_at=row.told_at,
        pace=pace,
        rests_until=row.rests_until,
    )
