"""Errands: what has to be done outside at a moment, as rows that survive every process.

An errand is one by account, kind and subject: setting it again moves it. It differs from a timer in
that it takes long: a process that runs one holds its row until the attempt must have ended, and no
transaction is open meanwhile. `version` counts how often it was set, `run` how often it was
claimed; what came of a claim counts only while both stand as the claim left them. Due moments are
the product's time; `runs_until` is the database's.

They stand in a table of their own, so that however many are due, those who look for timers do not
read them.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.deliveries import LEASE_LEFT
from gateway.db.rows import as_json
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.shards import shard_of

TOPIC: Final = "errands"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewErrand:
    """An errand to be set.

    Attributes:
        account_id: Whose it is.
        kind: What is to be done.
        subject_id: What it is about: a message, a channel.
        due_at: When, in the product's time.
        shard_by: What decides the shard; without, the subject. Errands of one shard are run by one
            process.
        conversation_id: For who reads the rows.
        data: What the handler needs beyond the subject.
    """

    account_id: str
    kind: str
    subject_id: str
    due_at: datetime
    shard_by: str | None = None
    conversation_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """An errand's row as its claim left it; `attempt` is 1 in the first."""

    account_id: str
    id: str
    shard: int
    kind: str
    conversation_id: str | None
    subject_id: str
    due_at: datetime
    version: int
    run: int
    attempt: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Room:
    """How many errands of a kind may start now, and for how many seconds they hold their rows."""

    errands: int
    seconds: float


_NAMES: Final = [each.name for each in fields(Errand)]
_COLUMNS: Final = ", ".join(f"e.{name}" for name in _NAMES)
_FREE: Final = "(e.runs_until IS NULL OR e.runs_until < clock_timestamp())"

_INSERT: Final = """
    INSERT INTO errands (account_id, id, shard, kind, conversation_id, subject_id, due_at, data)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, id text, shard smallint, kind text, conversation_id text, subject_id text,
      due_at timestamptz, data jsonb)
    ORDER BY r.kind, r.subject_id
    ON CONFLICT (account_id, kind, subject_id)
    """
_SET: Final = text(
    _INSERT
    + """
    DO UPDATE
    SET due_at = excluded.due_at, data = excluded.data, attempt = 0,
        version = errands.version + 1, shard = excluded.shard,
        conversation_id = excluded.conversation_id
    """
)
_OFFER: Final = text(_INSERT + "DO NOTHING")
_CLEAR: Final = text(
    "DELETE FROM errands WHERE account_id = :account_id AND kind = :kind "
    "AND subject_id = :subject_id"
)
# Shard by shard and kind by kind, so that a kind with a million due hides no other, and no more are
# sorted than may start.
_CLAIM: Final = text(
    f"""
    WITH owned AS (
      SELECT s.shard FROM shards s
      JOIN unnest(CAST(:shards AS smallint[]), CAST(:epochs AS bigint[])) AS o(shard, epoch)
        ON o.shard = s.shard AND o.epoch = s.epoch
      WHERE s.role = 'sender' AND s.expires_at >= clock_timestamp() + :lease_left),
    due AS MATERIALIZED (
      SELECT e.account_id, e.id, k.room, k.seconds,
        row_number() OVER (PARTITION BY k.kind ORDER BY e.due_at) AS place
      FROM owned o
      CROSS JOIN unnest(CAST(:kinds AS text[]), CAST(:rooms AS integer[]),
                        CAST(:seconds AS float8[])) AS k(kind, room, seconds)
      CROSS JOIN LATERAL (
        SELECT e.account_id, e.id, e.due_at FROM errands e
        WHERE e.shard = o.shard AND e.kind = k.kind AND e.due_at <= :now AND {_FREE}
        ORDER BY e.due_at LIMIT k.room) AS e),
    picked AS (
      SELECT e.account_id, e.id, d.seconds FROM due d
      JOIN errands e ON e.account_id = d.account_id AND e.id = d.id
      WHERE d.place <= d.room AND e.due_at <= :now AND {_FREE}
      FOR UPDATE OF e SKIP LOCKED)
    UPDATE errands e
    SET run = e.run + 1, attempt = e.attempt + 1,
        runs_until = clock_timestamp() + make_interval(secs => p.seconds)
    FROM picked p WHERE e.account_id = p.account_id AND e.id = p.id
    RETURNING {_COLUMNS}
    """  # noqa: S608 - constant column names
)
_AS_CLAIMED: Final = "account_id = :account_id AND id = :id AND run = :run AND version = :version"
_TAKE: Final = text(f"DELETE FROM errands WHERE {_AS_CLAIMED}")  # noqa: S608 - constant text
_PUT_OFF: Final = text(
    f"""
    UPDATE errands
    SET due_at = :due_at, data = CAST(:data AS jsonb), attempt = :attempt, runs_until = NULL
    WHERE {_AS_CLAIMED}
    """  # noqa: S608 - constant text
)
_LET_GO: Final = text(
    """
    UPDATE errands e SET runs_until = NULL, attempt = greatest(e.attempt - 1, 0)
    FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[]), CAST(:runs AS bigint[]))
      AS r(account_id, id, run)
    WHERE e.account_id = r.account_id AND e.id = r.id AND e.run = r.run
    """
)


async def set_errands(work: UnitOfWork, errands: Collection[NewErrand]) -> None:
    """Set errands, or move those that are set; an attempt that runs meanwhile has no effect."""
    await _insert(work, _SET, errands)


async def offer_errands(work: UnitOfWork, errands: Collection[NewErrand]) -> None:
    """Set errands that are not set yet; what is set, or runs, goes on as it is."""
    await _insert(work, _OFFER, errands)


async def _insert(work: UnitOfWork, statement: TextClause, errands: Collection[NewErrand]) -> None:
    if not errands:
        return
    rows = [_row(errand) for errand in errands]
    await work.connection.execute(statement, {"rows": as_json(rows)})
    due = {row["shard"] for row in rows if row["due_at"] <= work.now}
    if due:
        work.wake(TOPIC, due)


async def clear_errand(work: UnitOfWork, *, account_id: str, kind: str, subject_id: str) -> None:
    """Take an errand back, if it is set; an attempt that runs meanwhile has no effect."""
    await work.connection.execute(
        _CLEAR, {"account_id": account_id, "kind": kind, "subject_id": subject_id}
    )


async def claim_errands(
    connection: AsyncConnection,
    *,
    epochs: Mapping[int, int],
    rooms: Mapping[str, Room],
    now: datetime,
) -> list[Errand]:
    """Claim what is due, of each kind the longest due first.

    Left out are those of shards that are not ours for 2 s more by the database's clock, those that
    run, and those that somebody is changing.

    Args:
        connection: Of the transaction.
        epochs: The shards to look into, with our epoch of each.
        rooms: The kinds to look for.
        now: The product's time.
    """
    rows = await connection.execute(
        _CLAIM,
        {
            "shards": list(epochs),
            "epochs": list(epochs.values()),
            "kinds": list(rooms),
            "rooms": [room.errands for room in rooms.values()],
            "seconds": [room.seconds for room in rooms.values()],
            "lease_left": LEASE_LEFT,
            "now": now,
        },
    )
    return [Errand(**row) for row in rows.mappings()]


async def take_errand(work: UnitOfWork, errand: Errand) -> bool:
    """Delete an errand that is done; False when it was set anew, taken back or claimed again."""
    result = await work.connection.execute(_TAKE, _claimed(errand))
    return bool(result.rowcount)


async def put_off_errand(
    work: UnitOfWork, errand: Errand, *, until: datetime, data: Mapping[str, Any], attempt: int
) -> bool:
    """Let an errand be due later, as if it had been tried so often; False as `take_errand` says."""
    result = await work.connection.execute(
        _PUT_OFF,
        _claimed(errand) | {"due_at": until, "data": json.dumps(dict(data)), "attempt": attempt},
    )
    return bool(result.rowcount)


async def let_go_errands(work: UnitOfWork, errands: Collection[Errand]) -> None:
    """Give claimed errands back as if they had not been tried, but for those claimed again."""
    await work.connection.execute(
        _LET_GO,
        {
            "account_ids": [errand.account_id for errand in errands],
            "ids": [errand.id for errand in errands],
            "runs": [errand.run for errand in errands],
        },
    )
    work.wake(TOPIC, {errand.shard for errand in errands})


def _claimed(errand: Errand) -> dict[str, Any]:
    return {
        "account_id": errand.account_id,
        "id": errand.id,
        "run": errand.run,
        "version": errand.version,
    }


def _row(errand: NewErrand) -> dict[str, Any]:
    return {
        "account_id": errand.account_id,
        "id": ids.new_id(ids.ERRAND),
        "shard": shard_of(errand.shard_by or errand.subject_id),
        "kind": errand.kind,
        "conversation_id": errand.conversation_id,
        "subject_id": errand.subject_id,
        "due_at": errand.due_at,
        "data": dict(errand.data),
    }
