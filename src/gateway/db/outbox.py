"""What a transaction tells the outside: events, and the deliveries that carry them away."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.moments import rfc3339
from gateway.db.rows import as_json
from gateway.db.statements import with_rows
from gateway.db.subscriptions import Subscription, find_subscriptions
from gateway.domain import ids
from gateway.domain.shards import shard_of


@dataclass(slots=True)
class NewEvent:
    """An event to be written; the account's or the conversation's counter orders it."""

    type: str
    account_id: str
    data: dict[str, Any]
    occurred_at: datetime
    channel_id: str | None = None
    conversation_id: str | None = None
    enquiry_id: str | None = None
    # Taken from the conversation; None: the account's next one, at the end of the transaction.
    sequence: int | None = None
    # Endpoints that get it whatever they subscribed to, such as the enquiry's destination.
    also_to: tuple[str, ...] = ()
    # The one endpoint that gets it, where it is no other's business.
    only_to: str | None = None
    traceparent: str | None = None
    id: str = field(default_factory=lambda: ids.new_id(ids.EVENT))

    @property
    def key(self) -> str:
        """The Kafka key."""
        return self.conversation_id or self.account_id


@dataclass(slots=True)
class NewDelivery:
    """A duty to get one thing to one target.

    `due_at` None: the target is held, and the delivery waits until it is released.
    """

    account_id: str
    target_kind: str
    target_id: str
    lane: str
    kind: str
    due_at: datetime | None
    channel_id: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    event_id: str | None = None
    event_created_at: datetime | None = None
    payload: dict[str, Any] | None = None
    deadline_at: datetime | None = None
    traceparent: str | None = None
    id: str = field(default_factory=lambda: ids.new_id(ids.DELIVERY))


_INSERT_EVENTS = text(
    """
    INSERT INTO events (created_at, id, account_id, channel_id, conversation_id, enquiry_id, type,
                        key, sequence, source, subject, occurred_at, traceparent, data, shard)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      created_at timestamptz, id text, account_id text, channel_id text, conversation_id text,
      enquiry_id text, type text, key text, sequence bigint, source text, subject text,
      occurred_at timestamptz, traceparent text, data jsonb, shard smallint)
    """
)

# The first delivery of a lane that nothing holds is ready; the others wait for it.
_INSERT_DELIVERIES = with_rows(
    """
    WITH written AS (
    INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind, channel_id,
                            conversation_id, message_id, event_id, event_created_at, payload,
                            due_at, held_at, deadline_at, traceparent, created_at, ready)
    SELECT r.id, r.account_id, r.shard, r.target_kind, r.target_id, r.lane, r.kind, r.channel_id,
           r.conversation_id, r.message_id, r.event_id, r.event_created_at, r.payload,
           r.due_at, CASE WHEN r.due_at IS NULL THEN r.created_at END, r.deadline_at,
           r.traceparent, r.created_at,
           row_number() OVER (PARTITION BY r.target_id, r.lane ORDER BY r.n) = 1
           AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.target_id = r.target_id
                           AND e.lane = r.lane AND e.holds_lane)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      n integer, id text, account_id text, shard smallint, target_kind text, target_id text,
      lane text, kind text, channel_id text, conversation_id text, message_id text, event_id text,
      event_created_at timestamptz, payload jsonb, due_at timestamptz, deadline_at timestamptz,
      traceparent text, created_at timestamptz)
    ORDER BY r.n
    RETURNING shard, ready)
    SELECT DISTINCT shard FROM written WHERE NOT ready
    """,
    ["shard"],
)

_TAKE_ACCOUNT_SEQUENCE = text(
    "UPDATE accounts SET next_seq = next_seq + :count WHERE id = :account_id RETURNING next_seq"
)


async def write_events(
    connection: AsyncConnection, events: Sequence[NewEvent], *, now: datetime
) -> list[NewDelivery]:
    """Insert events and return the deliveries that they make: one an event and endpoint."""
    if not events:
        return []
    await _number(connection, events)
    events = _in_order(events)
    rows = [_event_row(event, now) for event in events]
    await connection.execute(_INSERT_EVENTS, {"rows": as_json(rows)})
    subscribed = await find_subscriptions(connection, {event.account_id for event in events})
    return [
        _event_delivery(event, endpoint, now)
        for event in events
        for endpoint in subscribed
        if endpoint.account_id == event.account_id and _gets(endpoint, event)
    ]


async def write_deliveries(
    connection: AsyncConnection, deliveries: Sequence[NewDelivery], *, now: datetime
) -> set[int]:
    """Insert deliveries in the order in which they are given.

    Returns:
        The shards of those that wait for others of their lanes.
    """
    if not deliveries:
        return set()
    rows = [_delivery_row(n, delivery, now) for n, delivery in enumerate(deliveries)]
    waiting = await connection.execute(_INSERT_DELIVERIES, {"rows": as_json(rows)})
    return set(waiting.scalars())


def _gets(endpoint: Subscription, event: NewEvent) -> bool:
    if event.only_to is not None:
        return endpoint.id == event.only_to
    return endpoint.id in event.also_to or endpoint.wants(event.type, event.channel_id)


def _in_order(events: Sequence[NewEvent]) -> list[NewEvent]:
    """Return events with those of each key in the order of their numbers, as lanes have to be."""
    by_key: dict[str, list[NewEvent]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    ordered = {
        key: iter(sorted(each, key=lambda event: event.sequence or 0))
        for key, each in by_key.items()
    }
    return [next(ordered[event.key]) for event in events]


async def _number(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    unnumbered: dict[str, list[NewEvent]] = {}
    for event in events:
        if event.sequence is None:
            unnumbered.setdefault(event.account_id, []).append(event)
    for account_id in sorted(unnumbered):
        mine = unnumbered[account_id]
        result = await connection.execute(
            _TAKE_ACCOUNT_SEQUENCE, {"account_id": account_id, "count": len(mine)}
        )
        first = result.scalar_one() - len(mine)
        for offset, event in enumerate(mine):
            event.sequence = first + offset


def _event_row(event: NewEvent, now: datetime) -> dict[str, Any]:
    return {
        "created_at": now,
        "id": event.id,
        "account_id": event.account_id,
        "channel_id": event.channel_id,
        "conversation_id": event.conversation_id,
        "enquiry_id": event.enquiry_id,
        "type": event.type,
        "key": event.key,
        "sequence": event.sequence,
        "source": f"/accounts/{event.account_id}",
        "subject": event.key,
        "occurred_at": rfc3339(event.occurred_at),
        "traceparent": event.traceparent,
        "data": event.data,
        "shard": shard_of(event.key),
    }


def _event_delivery(event: NewEvent, endpoint: Subscription, now: datetime) -> NewDelivery:
    delivery = NewDelivery(
        account_id=event.account_id,
        target_kind="endpoint",
        target_id=endpoint.id,
        lane="",
        kind="event",
        due_at=now if endpoint.status == "active" else None,
        channel_id=event.channel_id,
        conversation_id=event.conversation_id,
        event_id=event.id,
        event_created_at=now,
        traceparent=event.traceparent,
    )
    delivery.lane = endpoint.lane_of(event.key, delivery.id)
    return delivery


def _delivery_row(n: int, delivery: NewDelivery, now: datetime) -> dict[str, Any]:
    return {
        "n": n,
        "id": delivery.id,
        "account_id": delivery.account_id,
        "shard": shard_of(delivery.target_id),
        "target_kind": delivery.target_kind,
        "target_id": delivery.target_id,
        "lane": delivery.lane,
        "kind": delivery.kind,
        "channel_id": delivery.channel_id,
        "conversation_id": delivery.conversation_id,
        "message_id": delivery.message_id,
        "event_id": delivery.event_id,
        "event_created_at": delivery.event_created_at,
        "payload": delivery.payload,
        "due_at": delivery.due_at,
        "deadline_at": delivery.deadline_at,
        "traceparent": delivery.traceparent,
        "created_at": now,
    }
