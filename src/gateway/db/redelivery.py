"""Deliveries that are done again, and those that a replay makes.

What is done again keeps its row: one delivery an event and endpoint. Its attempts are counted on,
its schedule begins anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import as_json
from gateway.db.subscriptions import Subscription
from gateway.domain import ids
from gateway.domain.delivery import DeliveryKind, DeliveryStatus
from gateway.domain.shards import shard_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatable:
    """A locked delivery, and what decides whether it can be done again."""

    id: str
    shard: int
    target_id: str
    ordinal: int
    kind: DeliveryKind
    status: DeliveryStatus
    has_event: bool
    # None: it has been deleted.
    endpoint_status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """A published event, and the delivery of it that an endpoint has, if any."""

    created_at: datetime
    id: str
    channel_id: str | None
    conversation_id: str | None
    type: str
    key: str
    position: int
    traceparent: str | None
    delivery_id: str | None


# A subquery for each: joined, all days of events might be read for a handful of deliveries.
_LOCK: Final = text(
    """
    SELECT d.id, d.shard, d.target_id, d.ordinal, d.kind, d.status,
           coalesce((SELECT true FROM events e
                     WHERE e.id = d.event_id AND e.created_at = d.event_created_at), false)
             AS has_event,
           (SELECT p.status FROM endpoints p
            WHERE p.account_id = d.account_id AND p.id = d.target_id AND p.deleted_at IS NULL)
             AS endpoint_status
    FROM deliveries d WHERE d.account_id = :account_id AND d.id = ANY(:ids)
    ORDER BY d.id FOR UPDATE OF d
    """
)
_ANEW: Final = """
    status = 'pending', settled_at = NULL, attempts_before = d.attempt, first_attempt_at = NULL,
    holds_until = NULL, due_at = CASE WHEN r.held THEN NULL ELSE CAST(:now AS timestamptz) END,
    held_at = CASE WHEN r.held THEN CAST(:now AS timestamptz) END
"""
_BESIDE_LANE: Final = text(
    f"""
    UPDATE deliveries d SET {_ANEW}, ready = true, holds_lane = false
    FROM unnest(CAST(:ids AS text[]), CAST(:held AS boolean[])) AS r(id, held)
    WHERE d.id = r.id
    """  # noqa: S608 - a constant list of assignments
)
_ORDINALS: Final = text(
    "SELECT nextval(pg_get_serial_sequence('deliveries', 'ordinal')) FROM generate_series(1, :n)"
)
_AT_END_OF_LANE: Final = text(
    f"""
    UPDATE deliveries d SET {_ANEW}, ordinal = r.ordinal, holds_lane = true, ready = r.ready
    FROM (
      SELECT o.id, o.held, o.ordinal,
             row_number() OVER (PARTITION BY l.target_id, l.lane ORDER BY o.ordinal) = 1
             AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.target_id = l.target_id
                             AND e.lane = l.lane AND e.holds_lane) AS ready
      FROM unnest(CAST(:ids AS text[]), CAST(:held AS boolean[]), CAST(:ordinals AS bigint[]))
        AS o(id, held, ordinal)
      JOIN deliveries l ON l.id = o.id) AS r
    WHERE d.id = r.id
    """  # noqa: S608 - a constant list of assignments
)
_AT_ONCE: Final = text(
    "UPDATE deliveries SET due_at = :now WHERE id = ANY(:ids) AND status = 'pending' "
    "AND due_at > :now"
)
_FIND: Final = text(
    """
    SELECT id FROM deliveries
    WHERE account_id = :account_id AND target_id = :endpoint_id AND status = :status
      AND kind = 'event' AND id > CAST(:after AS text) COLLATE "C"
      AND created_at >= :since AND created_at < :until
    ORDER BY id LIMIT :limit
    """
)
# By the feed's positions: the order in which the events of a key follow one another.
_FIND_EVENTS: Final = text(
    """
    SELECT e.created_at, e.id, e.channel_id, e.conversation_id, e.type, e.key, e.position,
           e.traceparent, d.id AS delivery_id
    FROM (
      SELECT * FROM events
      WHERE account_id = :account_id AND position > :after
        AND created_at >= :since AND created_at < :until
      ORDER BY position LIMIT :limit) AS e
    LEFT JOIN deliveries d ON d.event_id = e.id AND d.target_id = :endpoint_id
    ORDER BY e.position
    """
)
_INSERT: Final = text(
    """
    INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind, channel_id,
                            conversation_id, event_id, event_created_at, traceparent, status,
                            ready, holds_lane, created_at, settled_at)
    SELECT r.id, :account_id, :shard, 'endpoint', :endpoint_id, r.lane, 'event', r.channel_id,
           r.conversation_id, r.event_id, r.event_created_at, r.traceparent, 'cancelled',
           false, false, :now, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      id text, lane text, channel_id text, conversation_id text, event_id text,
      event_created_at timestamptz, traceparent text)
    """
)
# Each arm has an index of its own.
_BACKLOG: Final = text(
    """
    SELECT count(*) FROM (
      (SELECT 1 FROM deliveries WHERE shard = :shard AND target_id = :endpoint_id
         AND status = 'pending' AND ready AND due_at IS NOT NULL LIMIT :most)
      UNION ALL
      (SELECT 1 FROM deliveries WHERE shard = :shard AND target_id = :endpoint_id
         AND status = 'pending' AND NOT ready LIMIT :most)) AS waiting
    """
)


async def lock_repeatable(
    connection: AsyncConnection, account_id: str, delivery_ids: Collection[str]
) -> list[Repeatable]:
    """Lock deliveries of an account and return them in the order in which they were made."""
    rows = await connection.execute(_LOCK, {"account_id": account_id, "ids": list(delivery_ids)})
    found = [
        Repeatable(
            **{
                **row,
                "kind": DeliveryKind(row["kind"]),
                "status": DeliveryStatus(row["status"]),
            }
        )
        for row in rows.mappings()
    ]
    return sorted(found, key=lambda each: each.ordinal)


async def begin_beside_lane(
    connection: AsyncConnection, held: Mapping[str, bool], *, now: datetime
) -> None:
    """Let settled deliveries begin anew beside their lanes; those that are held wait."""
    await connection.execute(
        _BESIDE_LANE, {"ids": list(held), "held": list(held.values()), "now": now}
    )


async def begin_at_end_of_lane(
    connection: AsyncConnection, held: Mapping[str, bool], *, now: datetime
) -> None:
    """Let settled deliveries begin anew, in this order, behind what waits in their lanes."""
    if not held:
        return
    ordinals = sorted((await connection.execute(_ORDINALS, {"n": len(held)})).scalars())
    await connection.execute(
        _AT_END_OF_LANE,
        {"ids": list(held), "held": list(held.values()), "ordinals": ordinals, "now": now},
    )


async def attempt_at_once(
    connection: AsyncConnection, delivery_ids: Collection[str], *, now: datetime
) -> None:
    """Let deliveries that wait for their next attempt have it now."""
    await connection.execute(_AT_ONCE, {"ids": list(delivery_ids), "now": now})


async def find_deliveries_of(
    connection: AsyncConnection,
    account_id: str,
    endpoint_id: str,
    *,
    status: str,
    since: datetime,
    until: datetime,
    after: str,
    limit: int,
) -> list[str]:
    """Return the ids of an endpoint's deliveries that were made in a time, the oldest first."""
    rows = await connection.execute(
        _FIND,
        {
            "account_id": account_id,
            "endpoint_id": endpoint_id,
            "status": status,
            "since": since,
            "until": until,
            "after": after,
            "limit": limit,
        },
    )
    return list(rows.scalars())


async def find_past_events(
    connection: AsyncConnection,
    account_id: str,
    endpoint_id: str,
    *,
    since: datetime,
    until: datetime,
    after: int,
    limit: int,
) -> list[PastEvent]:
    """Return published events that were written in a time, in the order of the feed."""
    rows = await connection.execute(
        _FIND_EVENTS,
        {
            "account_id": account_id,
            "endpoint_id": endpoint_id,
            "since": since,
            "until": until,
            "after": after,
            "limit": limit,
        },
    )
    return [PastEvent(**row) for row in rows.mappings()]


async def insert_unbegun(
    connection: AsyncConnection,
    subscription: Subscription,
    events: Sequence[PastEvent],
    *,
    now: datetime,
) -> dict[str, str]:
    """Insert deliveries of events that have yet to begin, and return their ids by the event's.

    The endpoint's row is locked, so that no other replay makes them as well.
    """
    named = [(event, ids.new_id(ids.DELIVERY)) for event in events]
    rows = [
        {
            "id": delivery_id,
            "lane": subscription.lane_of(event.key, delivery_id),
            "channel_id": event.channel_id,
            "conversation_id": event.conversation_id,
            "event_id": event.id,
            "event_created_at": event.created_at,
            "traceparent": event.traceparent,
        }
        for event, delivery_id in named
    ]
    if rows:
        await connection.execute(
            _INSERT,
            {
                "account_id": subscription.account_id,
                "endpoint_id": subscription.id,
                "shard": shard_of(subscription.id),
                "now": now,
                "rows": as_json(rows),
            },
        )
    return {event.id: delivery_id for event, delivery_id in named}


async def count_waiting(connection: AsyncConnection, endpoint_id: str, *, most: int) -> int:
    """Return how many deliveries wait to go to an endpoint; not more than twice `most`."""
    rows = await connection.execute(
        _BACKLOG, {"shard": shard_of(endpoint_id), "endpoint_id": endpoint_id, "most": most}
    )
    return int(rows.scalar_one())
