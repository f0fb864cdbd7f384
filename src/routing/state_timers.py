"""Which timers the state of an enquiry calls for: no state is left without the one it needs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from gateway.db.timers import NewTimer
from routing.enquiries import Enquiry, EnquiryStatus, earliest_expiry
from routing.rules import Routing

OFFER_TIMER: Final = "offer"
WAITING_TIMER: Final = "waiting"
INTERMISSION_TIMER: Final = "intermission"
# The hours of a timetable change while somebody waits.
HOURS_TIMER: Final = "hours"
STATE_TIMERS: Final = frozenset({OFFER_TIMER, WAITING_TIMER, INTERMISSION_TIMER, HOURS_TIMER})


def waits_until(row: Enquiry, routing: Routing | None) -> datetime | None:
    """Return when the waiting limit ends an enquiry that waits or is offered; None, never."""
    waits = row.status is EnquiryStatus.OPEN and row.queued_at is None
    looked_for = waits or row.status is EnquiryStatus.OFFERED
    if not looked_for or routing is None or row.progress.since is None:
        return None
    return row.progress.since + routing.waiting_limit


def timers_of(
    row: Enquiry, routing: Routing | None, *, now: datetime, intermission_ends: datetime | None
) -> list[NewTimer]:
    """Return the timers to set; `intermission_ends` None: that of an ongoing one stays as it is."""
    return [
        NewTimer(
            account_id=row.account_id,
            kind=kind,
            subject_id=row.id,
            conversation_id=row.conversation_id,
            due_at=due_at,
        )
        for kind, due_at in _due(row, routing, now, intermission_ends)
        if due_at is not None
    ]


def _due(
    row: Enquiry, routing: Routing | None, now: datetime, intermission_ends: datetime | None
) -> Iterator[tuple[str, datetime | None]]:
    limit = waits_until(row, routing)
    yield WAITING_TIMER, limit
    if row.status is EnquiryStatus.OPEN and limit is not None and routing is not None:
        yield HOURS_TIMER, routing.next_change(now, until=limit)
    if row.status is EnquiryStatus.OFFERED:
        yield OFFER_TIMER, earliest_expiry(row.pending_offers)
    if row.status is EnquiryStatus.ONGOING:
        yield INTERMISSION_TIMER, intermission_ends
