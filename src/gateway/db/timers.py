"""Timers: what shall happen at a moment, as rows that survive every process.

A timer is one by account, kind and subject: setting it again moves it. Whoever acts on a due timer
first locks what it is about (its conversation), then takes the row by id and version; no row, no
effect. Due moments are the product's time.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import as_json
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.shards import shard_of

_TOPIC: Final = "timers"
# What is due later is found by the sweeps.
_WAKE_WITHIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A timer's row as it stood when it was read."""

    account_id: str
    id: str
    shard: int
    kind: str
    conversation_id: str | None
    subject_id: str
    due_at: datetime
    version: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTimer:
    """A timer to be set."""

    account_id: str
    kind: str
    subject_id: str
    due_at: datetime
    conversation_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


# An account, a conversation of it, and a kind of timer.
Cleared: TypeAlias = tuple[str, str, str]

_COLUMNS: Final = "account_id, id, shard, kind, conversation_id, subject_id, due_at, version, data"

_WRITE: Final = text(
    """
    WITH cleared AS (
      DELETE FROM timers t
      USING unnest(CAST(:account_ids AS text[]), CAST(:conversation_ids AS text[]),
                   CAST(:kinds AS text[])) AS c(account_id, conversation_id, kind)
      WHERE t.account_id = c.account_id AND t.conversation_id = c.conversation_id
        AND t.kind = c.kind
    )
    INSERT INTO timers (account_id, id, shard, kind, conversation_id, subject_id, due_at, data)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, id text, shard smallint, kind text, conversation_id text, subject_id text,
      due_at timestamptz, data jsonb)
    ORDER BY r.kind, r.subject_id
    ON CONFLICT (account_id, kind, subject_id) DO UPDATE
    SET due_at = excluded.due_at, data = excluded.data, version = timers.version + 1,
        shard = excluded.shard, conversation_id = excluded.conversation_id
    """
)
_CLEAR: Final = text(
    "DELETE FROM timers WHERE account_id = :account_id AND kind = :kind "
    "AND subject_id = :subject_id"
)
# Shard by shard, so that however many are due, no more than some of each shard are sorted.
_FIND: Final = text(
    f"""
    SELECT t.* FROM unnest(CAST(:shards AS smallint[])) AS s(shard)
    CROSS JOIN LATERAL (
      SELECT {_COLUMNS} FROM timers
      WHERE shard = s.shard AND due_at <= :until AND kind = ANY(:kinds) AND NOT id = ANY(:besides)
      ORDER BY due_at LIMIT :limit) AS t
    ORDER BY t.due_at LIMIT :limit
    """  # noqa: S608 - constant column names
)
_TAKE: Final = text(
    "DELETE FROM timers WHERE account_id = :account_id AND id = :id AND version = :version"
)
_TAKE_ALL: Final = text(
    """
    DELETE FROM timers t
    USING unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[]), CAST(:versions AS integer[]))
      AS r(account_id, id, version)
    WHERE t.account_id = r.account_id AND t.id = r.id AND t.version = r.version
    RETURNING t.id
    """
)
_PUT_OFF: Final = text(
    """
    UPDATE timers SET due_at = :due_at, data = CAST(:data AS jsonb), version = version + 1
    WHERE account_id = :account_id AND id = :id AND version = :version
    """
)


async def set_timer(
    work: UnitOfWork,
    *,
    account_id: str,
    kind: str,
    subject_id: str,
    due_at: datetime,
    conversation_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Set a timer, or move the one that is set."""
    timer = NewTimer(
        account_id=account_id,
        kind=kind,
        subject_id=subject_id,
        due_at=due_at,
        conversation_id=conversation_id,
        data=data or {},
    )
    await write_timers(work, set_=[timer])


async def clear_timer(work: UnitOfWork, *, account_id: str, kind: str, subject_id: str) -> None:
    """Take a timer back, if it is set."""
    await work.connection.execute(
        _CLEAR, {"account_id": account_id, "kind": kind, "subject_id": subject_id}
    )


async def write_timers(
    work: UnitOfWork,
    *,
    set_: Collection[NewTimer] = (),
    cleared: Collection[Cleared] = (),
) -> None:
    """Clear all timers of some kinds of conversations, then set some, mostly in one statement."""
    # One statement cannot change a row twice.
    both = {(timer.account_id, timer.conversation_id, timer.kind) for timer in set_} & set(cleared)
    for timers, gone in [((), cleared), (set_, ())] if both else [(set_, cleared)]:
        if timers or gone:
            await work.connection.execute(
                _WRITE,
                {
                    "account_ids": [account_id for account_id, _, _ in gone],
                    "conversation_ids": [conversation_id for _, conversation_id, _ in gone],
                    "kinds": [kind for _, _, kind in gone],
                    "rows": as_json([_row(timer) for timer in timers]),
                },
            )
    soon = [timer for timer in set_ if timer.due_at <= work.now + _WAKE_WITHIN]
    if soon:
        work.wake(_TOPIC, {_shard(timer) for timer in soon})


async def find_due(
    connection: AsyncConnection,
    *,
    shards: Iterable[int],
    kinds: Iterable[str],
    until: datetime,
    besides: Iterable[str],
    limit: int,
) -> list[Timer]:
    """Return timers that are due at a moment, without a lock, the longest due first."""
    rows = await connection.execute(
        _FIND,
        {
            "shards": list(shards),
            "kinds": list(kinds),
            "until": until,
            "besides": list(besides),
            "limit": limit,
        },
    )
    return [Timer(**row) for row in rows.mappings()]


async def take_timer(work: UnitOfWork, timer: Timer) -> bool:
    """Delete a timer that fires; False when it was moved, taken back or fired elsewhere."""
    result = await work.connection.execute(
        _TAKE, {"account_id": timer.account_id, "id": timer.id, "version": timer.version}
    )
    return bool(result.rowcount)


async def take_timers(work: UnitOfWork, timers: Collection[Timer]) -> set[str]:
    """Delete timers that fire; return the ids of those that are neither moved nor gone."""
    rows = await work.connection.execute(
        _TAKE_ALL,
        {
            "account_ids": [timer.account_id for timer in timers],
            "ids": [timer.id for timer in timers],
            "versions": [timer.version for timer in timers],
        },
    )
    return set(rows.scalars())


async def put_off(work: UnitOfWork, timer: Timer, *, until: datetime, data: dict[str, Any]) -> None:
    """Let a timer fire later, unless it was moved, taken back or fired meanwhile."""
    await work.connection.execute(
        _PUT_OFF,
        {
            "account_id": timer.account_id,
            "id": timer.id,
            "version": timer.version,
            "due_at": until,
            "data": json.dumps(data),
        },
    )


def _row(timer: NewTimer) -> dict[str, Any]:
    return {
        "account_id": timer.account_id,
        "id": ids.new_id(ids.TIMER),
        "shard": _shard(timer),
        "kind": timer.kind,
        "conversation_id": timer.conversation_id,
        "subject_id": timer.subject_id,
        "due_at": timer.due_at,
        "data": timer.data,
    }


def _shard(timer: NewTimer) -> int:
    return shard_of(timer.conversation_id or timer.subject_id)
