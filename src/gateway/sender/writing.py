"""What a verdict writes: into a delivery's row, and into its message."""

from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from gateway.db.deliveries import Delivery
from gateway.domain.delivery import DeliveryKind, DeliveryStatus
from gateway.domain.message import MessageStatus
from gateway.domain.verdict import (
    Cancelled,
    DeadLettered,
    Delivered,
    Failed,
    Held,
    RetryDue,
    TargetGone,
    Uncertain,
    Untried,
    Verdict,
)
from gateway.sender.attempts import Attempt

Written: TypeAlias = Verdict | Cancelled

_ENDS: Final[dict[type[Written], DeliveryStatus]] = {
    Delivered: DeliveryStatus.DELIVERED,
    Failed: DeliveryStatus.FAILED,
    TargetGone: DeliveryStatus.FAILED,
    DeadLettered: DeliveryStatus.FAILED,
    Cancelled: DeliveryStatus.CANCELLED,
}


def change_row(row: Delivery, verdict: Written, attempt: Attempt | None, *, now: datetime) -> None:
    """Change a delivery's row as a verdict says."""
    match verdict:
        case Uncertain(wait_until):
            row.status, row.due_at = DeliveryStatus.UNCERTAIN, wait_until
        case Held():
            row.status, row.due_at, row.held_at = DeliveryStatus.PENDING, None, now
        case RetryDue(at):
            row.status, row.due_at = DeliveryStatus.PENDING, at
            _let_lane_go(row, attempt, now=now)
        case Untried():
            row.status, row.due_at, row.attempt = DeliveryStatus.PENDING, now, row.attempt - 1
            if row.attempt == (row.attempts_before or 0):
                row.first_attempt_at = None
        case _:
            row.status, row.holds_lane, row.settled_at = _ENDS[type(verdict)], False, now


def message_move(
    verdict: Written, attempt: Attempt | None, *, now: datetime
) -> tuple[MessageStatus, dict[str, Any]] | None:
    """Return where a verdict moves its message and what changes with it; None: it stays."""
    match verdict:
        case Delivered(source_message_id):
            changes: dict[str, Any] = {"sent_at": now, "error": None}
            if attempt is not None:
                changes["platform_at"] = attempt.called_at
            if source_message_id is not None:
                changes["source_message_id"] = source_message_id
            return MessageStatus.SENT, changes
        case RetryDue() | Untried() | Held():
            return MessageStatus.ACCEPTED, {}
        case Failed(error):
            return MessageStatus.FAILED, {"error": error.as_document()}
        case Uncertain(_, error):
            return MessageStatus.UNCERTAIN, {"error": error.as_document()}
        case _:
            return None


def _let_lane_go(row: Delivery, attempt: Attempt | None, *, now: datetime) -> None:
    """A failing event holds its lane for so long, from its first attempt, and no longer."""
    if row.kind is not DeliveryKind.EVENT:
        return
    if row.holds_until is None and attempt is not None and attempt.endpoint is not None:
        patience = timedelta(seconds=attempt.endpoint.lane_hold_seconds)
        row.holds_until = (row.first_attempt_at or now) + patience
    if row.holds_until is not None and row.holds_until <= now:
        row.holds_lane = False
