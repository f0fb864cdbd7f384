"""Deliveries as people look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.delivery import DeliveryKind, DeliveryStatus

# What callers see: who sends, and whether an outcome is awaited, is the sender's business.
SHOWN_AS: Final[dict[DeliveryStatus, str]] = {
    DeliveryStatus.PENDING: "pending",
    DeliveryStatus.SENDING: "pending",
    DeliveryStatus.UNCERTAIN: "pending",
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.FAILED: "failed",
    DeliveryStatus.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery and what became of it."""

    id: str
    shard: int
    target_kind: str
    target_id: str
    kind: DeliveryKind
    message_id: str | None
    event_id: str | None
    event_type: str | None
    status: DeliveryStatus
    due_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One attempt at a delivery; `outcome` is `unknown` where nobody can say what it did."""

    attempt: int
    at: datetime
    status: int | None
    ms: int
    body: str | None
    outcome: str
    error: dict[str, Any] | None


_SELECT: Final = """
    SELECT d.id, d.shard, d.target_kind, d.target_id, d.kind, d.message_id, d.event_id,
           e.type AS event_type, d.status, d.due_at, d.created_at, d.settled_at
    FROM deliveries d
    LEFT JOIN events e ON e.id = d.event_id AND e.created_at = d.event_created_at
    WHERE d.account_id = :account_id
"""
_GET: Final = text(f"{_SELECT} AND d.id = :id AND d.kind <> 'action'")
# The newest of each state, of which the newest of all: each is the end of a part of an index.
_OF_TARGET: Final = text(
    f"""
    {_SELECT} AND d.id IN (
      SELECT n.id FROM unnest(CAST(:statuses AS text[])) AS s(status)
      CROSS JOIN LATERAL (
        SELECT o.id FROM deliveries o
        WHERE o.account_id = :account_id AND o.target_id = :target_id AND o.status = s.status
          AND o.kind <> 'action' AND o.id < :before COLLATE "C"
        ORDER BY o.id DESC LIMIT :limit) AS n
      ORDER BY n.id DESC LIMIT :limit)
    ORDER BY d.id DESC
    """  # noqa: S608 - constant column names
)
# Sorts behind every id.
_AFTER_ALL: Final = "~"
_OF_EVENT: Final = text(f"{_SELECT} AND d.event_id = :event_id AND d.target_id = :target_id")
_ATTEMPTS: Final = text(
    """
    SELECT delivery_id, attempt, at, status, milliseconds AS ms, body, outcome, error
    FROM delivery_attempts
    WHERE account_id = :account_id AND delivery_id = ANY(:ids) ORDER BY delivery_id, attempt
    """
)
_ATTEMPTS_OF_MESSAGE: Final = text(
    """
    SELECT a.attempt, a.at, a.status, a.milliseconds AS ms, a.body, a.outcome, a.error
    FROM delivery_attempts a
    JOIN deliveries d ON d.id = a.delivery_id
    WHERE d.account_id = :account_id AND d.message_id = :message_id
    ORDER BY d.ordinal, a.attempt
    """
)


async def get_delivery(
    connection: AsyncConnection, account_id: str, delivery_id: str
) -> DeliveryView | None:
    """Return a delivery of an account that carries a message or an event."""
    rows = await connection.execute(_GET, {"account_id": account_id, "id": delivery_id})
    row = rows.mappings().one_or_none()
    return None if row is None else _view(row)


async def list_deliveries(
    connection: AsyncConnection,
    account_id: str,
    target_id: str,
    *,
    status: str | None,
    before: str | None,
    limit: int,
) -> list[DeliveryView]:
    """Return the deliveries of a target, the newest first, older than `before`."""
    statuses = [str(each) for each, shown in SHOWN_AS.items() if status in (None, shown)]
    rows = await connection.execute(
        _OF_TARGET,
        {
            "account_id": account_id,
            "target_id": target_id,
            "statuses": statuses,
            "before": _AFTER_ALL if before is None else before,
            "limit": limit,
        },
    )
    return [_view(row) for row in rows.mappings()]


async def find_delivery_of_event(
    connection: AsyncConnection, account_id: str, *, event_id: str, target_id: str
) -> DeliveryView:
    """Return the delivery of an event to an endpoint."""
    rows = await connection.execute(
        _OF_EVENT, {"account_id": account_id, "event_id": event_id, "target_id": target_id}
    )
    return _view(rows.mappings().one())


async def find_attempts(
    connection: AsyncConnection, account_id: str, delivery_ids: Sequence[str]
) -> dict[str, list[AttemptView]]:
    """Return the attempts at deliveries, the first one first, by delivery."""
    rows = await connection.execute(
        _ATTEMPTS, {"account_id": account_id, "ids": list(delivery_ids)}
    )
    found: dict[str, list[AttemptView]] = {delivery_id: [] for delivery_id in delivery_ids}
    for row in rows.mappings():
        values = dict(row)
        found[values.pop("delivery_id")].append(AttemptView(**values))
    return found


async def find_attempts_of_message(
    connection: AsyncConnection, account_id: str, message_id: str
) -> list[AttemptView]:
    """Return the attempts at a message, over all the times that it was sent."""
    rows = await connection.execute(
        _ATTEMPTS_OF_MESSAGE, {"account_id": account_id, "message_id": message_id}
    )
    return [AttemptView(**row) for row in rows.mappings()]


def _view(row: Any) -> DeliveryView:  # noqa: ANN401 - a row
    values = dict(row)
    values["kind"] = DeliveryKind(values["kind"])
    values["status"] = DeliveryStatus(values["status"])
    return DeliveryView(**values)
