"""How fast targets are called for now: written for whoever has their shard next, and for people."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.pacing import Pace
from gateway.domain.usage import TOLD_FOR


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPace:
    """What was learnt of one target's limit; `usage_percent` None where nobody says."""

    account_id: str
    target_id: str
    usage_percent: int | None
    pace: Pace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSending:
    """How a channel's sending stands, as far as its limits are known.

    Attributes:
        usage_percent: How much of the Page's own limit is used up.
        app_usage_percent: How much of the limit that all Pages of its Meta app share.
        pace_per_second: How fast it is called where it is slowed.
        rests_until: When calls are made again where none are made.
    """

    usage_percent: int | None
    app_usage_percent: int | None
    pace_per_second: float | None
    rests_until: datetime | None


# Rows are written in one order; an account that is gone needs none.
_SAVE: Final = text(
    """
    INSERT INTO target_paces (account_id, target_id, usage_percent, rate, felt, decided_at)
    SELECT r.account_id, r.target_id, r.usage_percent, r.rate, r.felt, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, target_id text, usage_percent smallint, rate float8, felt float8)
    ORDER BY r.account_id, r.target_id
    ON CONFLICT (account_id, target_id)
    DO UPDATE SET usage_percent = excluded.usage_percent, rate = excluded.rate,
                  felt = excluded.felt, decided_at = excluded.decided_at
    """
)

_SENDING: Final = text(
    """
    SELECT p.usage_percent, a.usage_percent AS app_usage_percent, p.rate AS pace_per_second,
           CASE WHEN greatest(c.throttled_until, a.rests_until) > :now
                THEN greatest(c.throttled_until, a.rests_until) END AS rests_until
    FROM channels c
    LEFT JOIN target_paces p
      ON p.account_id = c.account_id AND p.target_id = c.id AND p.decided_at > :since
    LEFT JOIN app_limits a
      ON a.app_id = c.meta_app_id AND (a.told_at > :since OR a.rests_until > :now)
    WHERE c.account_id = :account_id AND c.id = :channel_id
    """
)


async def save_paces(
    connection: AsyncConnection, paces: Iterable[TargetPace], *, now: datetime
) -> None:
    """Write down what was learnt of targets."""
    rows = [
        {
            "account_id": each.account_id,
            "target_id": each.target_id,
            "usage_percent": each.usage_percent,
            "rate": None if each.pace is None else each.pace.rate,
            "felt": None if each.pace is None else each.pace.felt,
        }
        for each in paces
    ]
    if rows:
        await connection.execute(_SAVE, {"rows": json.dumps(rows), "now": now})


async def get_sending(
    connection: AsyncConnection, account_id: str, channel_id: str, *, now: datetime
) -> ChannelSending | None:
    """Return how a channel's sending stands; None where nothing was learnt of its limits."""
    parameters = {
        "account_id": account_id,
        "channel_id": channel_id,
        "now": now,
        "since": now - TOLD_FOR,
    }
    row = (await connection.execute(_SENDING, parameters)).mappings().one_or_none()
    if row is None or all(value is None for value in row.values()):
        return None
    return ChannelSending(**row)
