"""Deliveries as the sender takes and settles them.

A delivery is `ready` while nothing before it in its lane holds the lane, and `holds_lane` is true
until it is settled or has held its lane for as long as it may. `due_at` null: its target is held.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import as_json, counted, rows_of
from gateway.db.statements import with_rows
from gateway.domain.delivery import DeliveryKind, DeliveryStatus, TargetKind

# A lease with less left than this starts nothing.
LEASE_LEFT: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that may leave once its time has come and its target and lane are free.

    `content_type` is that of a message's content: platforms limit some types more than others.
    """

    id: str
    account_id: str
    shard: int
    target_kind: TargetKind
    target_id: str
    lane: str
    ordinal: int
    kind: DeliveryKind
    conversation_id: str | None
    message_id: str | None
    attempt: int
    due_at: datetime
    deadline_at: datetime | None
    created_at: datetime
    content_type: str | None = None


@dataclass(slots=True, kw_only=True)
class Delivery:
    """A delivery's row."""

    id: str
    account_id: str
    shard: int
    target_kind: TargetKind
    target_id: str
    lane: str
    ordinal: int
    kind: DeliveryKind
    channel_id: str | None
    conversation_id: str | None
    message_id: str | None
    event_id: str | None
    event_created_at: datetime | None
    payload: dict[str, Any] | None
    status: DeliveryStatus
    ready: bool
    holds_lane: bool
    holds_until: datetime | None
    due_at: datetime | None
    held_at: datetime | None
    deadline_at: datetime | None
    attempt: int
    attempts_before: int | None
    first_attempt_at: datetime | None
    epoch: int | None
    call_started_at: datetime | None
    call_ends_by: datetime | None
    traceparent: str | None
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """What an attempt leaves behind for people to read."""

    delivery_id: str
    attempt: int
    account_id: str
    at: datetime
    status: int | None
    milliseconds: int
    body: str | None
    outcome: str
    error: Mapping[str, object] | None


DUE_COLUMNS: Final = (
    "d.id, d.account_id, d.shard, d.target_kind, d.target_id, d.lane, d.ordinal, d.kind, "
    "d.conversation_id, d.message_id, d.attempt, d.due_at, d.deadline_at, d.created_at, "
    "(SELECT m.content ->> 'type' FROM messages m "
    "WHERE m.account_id = d.account_id AND m.id = d.message_id) AS content_type"
)
# As `DUE_COLUMNS` and `_COLUMNS` have them.
DUE_NAMES: Final = [field.name for field in fields(Due)]
_NAMES: Final = [field.name for field in fields(Delivery)]
_COLUMNS: Final = ", ".join(f"d.{name}" for name in _NAMES)
_PENDING_DUE: Final = "status = 'pending' AND ready AND due_at IS NOT NULL"

# The inner recursion jumps from target to target over the index, so that a target with a million
# deliveries costs as much as one with ten, and hides none.
_FIND_DUE: Final = with_rows(
    f"""
    SELECT d.* FROM unnest(CAST(:shards AS smallint[])) AS s(shard)
    CROSS JOIN LATERAL (
      WITH RECURSIVE t(target_id) AS (
        (SELECT target_id FROM deliveries
         WHERE shard = s.shard AND {_PENDING_DUE} ORDER BY target_id LIMIT 1)
        UNION ALL
        SELECT (SELECT n.target_id FROM deliveries n
                WHERE n.shard = s.shard AND {_PENDING_DUE} AND n.target_id > t.target_id
                ORDER BY n.target_id LIMIT 1)
        FROM t WHERE t.target_id IS NOT NULL)
      SELECT target_id FROM t WHERE target_id IS NOT NULL) AS t
    CROSS JOIN LATERAL (
      SELECT {DUE_COLUMNS} FROM deliveries d
      WHERE d.shard = s.shard AND d.target_id = t.target_id AND {_PENDING_DUE}
        AND d.due_at <= :horizon
      ORDER BY d.due_at, d.ordinal LIMIT :per_target) AS d
    """,  # noqa: S608 - constant column names
    DUE_NAMES,
)

# Somebody else's row lock means that the row is changing: it is found again by the next look. The
# rows are named first: joined to their shards, all that is due in these might be read for them.
_CLAIM: Final = with_rows(
    f"""
    WITH owned AS (
      SELECT s.shard, s.epoch FROM shards s
      JOIN unnest(CAST(:shards AS smallint[]), CAST(:epochs AS bigint[])) AS o(shard, epoch)
        ON o.shard = s.shard AND o.epoch = s.epoch
      WHERE s.role = 'sender' AND s.expires_at >= clock_timestamp() + :lease_left),
    named AS MATERIALIZED (SELECT id, shard FROM deliveries WHERE id = ANY(:ids)),
    free AS (
      SELECT d.id, o.epoch FROM named n JOIN owned o ON o.shard = n.shard
      JOIN deliveries d ON d.id = n.id
      WHERE d.status = 'pending' AND d.ready AND d.due_at <= :now
        AND (NOT d.holds_lane OR NOT EXISTS (
          SELECT 1 FROM deliveries e WHERE e.target_id = d.target_id AND e.lane = d.lane
          AND e.holds_lane AND e.ordinal < d.ordinal))
      FOR UPDATE OF d SKIP LOCKED)
    UPDATE deliveries d
    SET status = 'sending', attempt = d.attempt + 1, epoch = f.epoch,
        first_attempt_at = coalesce(d.first_attempt_at, :now),
        call_started_at = clock_timestamp(),
        call_ends_by = clock_timestamp()
          + CASE WHEN d.attempt = 0 THEN CAST(:first_budget AS interval) ELSE :budget END
    FROM free f WHERE d.id = f.id
    RETURNING {_COLUMNS}
    """,  # noqa: S608 - constant column names
    _NAMES,
)

_LOCK: Final = with_rows(
    f"SELECT {_COLUMNS} FROM deliveries d WHERE d.id = ANY(:ids) ORDER BY d.id FOR UPDATE",  # noqa: S608 - constant column names
    _NAMES,
)

_SAVED: Final = """
    id text, status text, ready boolean, holds_lane boolean, holds_until timestamptz,
    due_at timestamptz, held_at timestamptz, deadline_at timestamptz, attempt integer,
    first_attempt_at timestamptz, settled_at timestamptz
"""
# One trip for what is settled: an attempt that is there already stays as it is.
_SAVE: Final = text(
    f"""
    WITH recorded AS (
      INSERT INTO delivery_attempts
        (delivery_id, attempt, account_id, at, status, milliseconds, body, outcome, error)
      SELECT * FROM jsonb_to_recordset(CAST(:attempts AS jsonb)) AS a(
        delivery_id text, attempt integer, account_id text, at timestamptz, status integer,
        milliseconds integer, body text, outcome text, error jsonb)
      ON CONFLICT (delivery_id, attempt) DO NOTHING)
    UPDATE deliveries d
    SET status = r.status, ready = r.ready, holds_lane = r.holds_lane, holds_until = r.holds_until,
        due_at = r.due_at, held_at = r.held_at, deadline_at = r.deadline_at, attempt = r.attempt,
        first_attempt_at = r.first_attempt_at, settled_at = r.settled_at
    FROM {rows_of(_SAVED)}
    WHERE d.id = r.id
    """  # noqa: S608 - constant column names
)

_FIND_IN_FLIGHT: Final = with_rows(
    f"SELECT {_COLUMNS} FROM deliveries d WHERE d.shard = ANY(:shards) AND d.status = 'sending'",  # noqa: S608 - constant column names
    _NAMES,
)

_FIND_OVERDUE: Final = with_rows(
    f"""
    SELECT {_COLUMNS} FROM deliveries d
    WHERE d.shard = ANY(:shards) AND d.status = 'sending' AND d.call_ends_by < clock_timestamp()
      AND d.id <> ALL(:mine)
    ORDER BY d.call_ends_by LIMIT :limit
    """,  # noqa: S608 - constant column names
    _NAMES,
)

# Routing has read all that Kafka had when the echo should have been there.
_FIND_WAITED_FOR: Final = with_rows(
    f"""
    SELECT {_COLUMNS} FROM deliveries d
    JOIN conversations c ON c.account_id = d.account_id AND c.id = d.conversation_id
    JOIN partition_owners p ON p.topic = :topic AND p.partition = c.inbound_partition
    WHERE d.shard = ANY(:shards) AND d.status = 'uncertain' AND d.holds_lane
      AND d.due_at <= :now AND p.caught_up_at >= d.due_at
    ORDER BY d.due_at LIMIT :limit
    """,  # noqa: S608 - constant column names
    _NAMES,
)

_FIND_OPEN: Final = with_rows(
    f"""
    SELECT {_COLUMNS} FROM deliveries d
    WHERE d.message_id = :message_id AND d.status IN ('pending', 'sending', 'uncertain')
    ORDER BY d.ordinal FOR UPDATE
    """,  # noqa: S608 - constant column names
    _NAMES,
)

_LAST_ERRORS: Final = text(
    """
    SELECT DISTINCT ON (delivery_id) delivery_id, error FROM delivery_attempts
    WHERE delivery_id = ANY(:ids) ORDER BY delivery_id, attempt DESC
    """
)


async def find_due(
    connection: AsyncConnection, shards: Collection[int], *, horizon: datetime, per_target: int
) -> list[Due]:
    """Return, of each target with work in these shards, the first deliveries due by a moment."""
    rows = await connection.execute(
        _FIND_DUE, {"shards": list(shards), "horizon": horizon, "per_target": per_target}
    )
    return [due_of(row) for row in rows]


async def claim(
    connection: AsyncConnection,
    ids: Sequence[str],
    *,
    epochs: Mapping[int, int],
    now: datetime,
    first_budget: timedelta,
    budget: timedelta,
) -> list[Delivery]:
    """Take pending deliveries whose calls start now; return those that were to be had.

    Left out are those of shards that are not ours for 2 s more by the database's clock, those that
    something before them in their lane holds back (unless they go beside it), and those that
    somebody else is changing.

    Args:
        connection: Of the transaction, in which the conversations of messages are locked.
        ids: The deliveries.
        epochs: Our epoch of each of their shards.
        now: The product's time.
        first_budget: How long a first call lasts at most.
        budget: How long a later one does.
    """
    rows = await connection.execute(
        _CLAIM,
        {
            "ids": list(ids),
            "shards": list(epochs),
            "epochs": list(epochs.values()),
            "lease_left": LEASE_LEFT,
            "now": now,
            "first_budget": first_budget,
            "budget": budget,
        },
    )
    return [_delivery(row) for row in rows]


async def lock_deliveries(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Delivery]:
    """Lock deliveries in the order of their ids and return them by id."""
    rows = await connection.execute(_LOCK, {"ids": list(ids)})
    locked = [_delivery(row) for row in rows]
    return {delivery.id: delivery for delivery in locked}


async def save_deliveries(
    connection: AsyncConnection,
    deliveries: Iterable[Delivery],
    *,
    attempts: Sequence[AttemptRow] = (),
) -> None:
    """Write back what settlement changes of deliveries, and write down attempts.

    An attempt that is there already stays as it is.
    """
    rows = [
        {
            "id": each.id,
            "status": each.status,
            "ready": each.ready,
            "holds_lane": each.holds_lane,
            "holds_until": each.holds_until,
            "due_at": each.due_at,
            "held_at": each.held_at,
            "deadline_at": each.deadline_at,
            "attempt": each.attempt,
            "first_attempt_at": each.first_attempt_at,
            "settled_at": each.settled_at,
        }
        for each in deliveries
    ]
    if rows or attempts:
        await connection.execute(_SAVE, counted(rows) | {"attempts": as_json(attempts)})


async def find_in_flight(connection: AsyncConnection, shards: Collection[int]) -> list[Delivery]:
    """Return the deliveries of these shards whose calls may be running, whoever started them."""
    rows = await connection.execute(_FIND_IN_FLIGHT, {"shards": list(shards)})
    return [_delivery(row) for row in rows]


async def find_overdue(
    connection: AsyncConnection, shards: Collection[int], *, mine: Collection[str], limit: int
) -> list[Delivery]:
    """Return deliveries whose calls must have ended and that nobody settled, but for `mine`."""
    rows = await connection.execute(
        _FIND_OVERDUE, {"shards": list(shards), "mine": list(mine), "limit": limit}
    )
    return [_delivery(row) for row in rows]


async def find_waited_for(
    connection: AsyncConnection,
    shards: Collection[int],
    *,
    topic: str,
    now: datetime,
    limit: int,
) -> list[Delivery]:
    """Return uncertain deliveries whose echo would have been seen by now."""
    rows = await connection.execute(
        _FIND_WAITED_FOR, {"shards": list(shards), "topic": topic, "now": now, "limit": limit}
    )
    return [_delivery(row) for row in rows]


async def lock_open_deliveries(connection: AsyncConnection, message_id: str) -> list[Delivery]:
    """Lock and return the deliveries of a message that are not settled."""
    rows = await connection.execute(_FIND_OPEN, {"message_id": message_id})
    return [_delivery(row) for row in rows]


async def find_last_errors(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the error of the last attempt of those deliveries that have one."""
    rows = await connection.execute(_LAST_ERRORS, {"ids": list(ids)})
    return {row.delivery_id: row.error for row in rows if row.error is not None}


def due_of(row: Row[Any]) -> Due:
    """Return the delivery that a row of `DUE_COLUMNS`, of deliveries named `d`, tells of."""
    # By place: SQLAlchemy's mappings look every name up again for every row.
    values: dict[str, Any] = dict(zip(DUE_NAMES, row, strict=True))
    values["target_kind"] = TargetKind(values["target_kind"])
    values["kind"] = DeliveryKind(values["kind"])
    return Due(**values)


def _delivery(row: Row[Any]) -> Delivery:
    values: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    values["target_kind"] = TargetKind(values["target_kind"])
    values["kind"] = DeliveryKind(values["kind"])
    values["status"] = DeliveryStatus(values["status"])
    return Delivery(**values)
