"""Reads enquiries of the past as a replay needs them, a part at a time and without locks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.trials.replay import PastEnquiry

# An enquiry that waits for its first decision, or for somebody to accept it, went nowhere yet.
_OF_CHANNEL: Final = """
    FROM enquiries e
    WHERE e.account_id = :account_id AND e.channel_id = :channel_id
      AND e.opened_at >= :begins AND e.opened_at < :ends AND e.status <> 'open'
"""
_NTH: Final = text(
    f"SELECT e.opened_at {_OF_CHANNEL} ORDER BY e.opened_at, e.id OFFSET :place LIMIT 1"
)
_PART: Final = text(
    f"""
    SELECT e.id, e.opened_at, e.assignment,
           CASE WHEN e.missed_at IS NULL THEN e.destination ->> 'id' END AS went_to,
           ARRAY(SELECT o.agent_id FROM offers o
                 WHERE o.account_id = e.account_id AND o.enquiry_id = e.id
                   AND e.missed_at IS NOT NULL) AS refused_by,
           before.agent_id AS served_before_by, before.closed_at AS served_before_until
    FROM (
      SELECT e.* {_OF_CHANNEL}
        AND (e.opened_at, e.id) > (:after, :after_id COLLATE "C")
      ORDER BY e.opened_at, e.id LIMIT :limit) AS e
    LEFT JOIN LATERAL (
      SELECT b.agent_id, b.closed_at FROM enquiries b
      WHERE b.account_id = e.account_id AND b.contact_id = e.contact_id AND b.id < e.id
      ORDER BY b.id DESC LIMIT 1) AS before ON true
    ORDER BY e.opened_at, e.id
    """  # noqa: S608 - constant texts
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The enquiries of a channel that were opened in a time; `ends` is excluded."""

    account_id: str
    channel_id: str
    begins: datetime
    ends: datetime

    def as_parameters(self) -> dict[str, object]:
        """Return it as the statements take it."""
        return {
            "account_id": self.account_id,
            "channel_id": self.channel_id,
            "begins": self.begins,
            "ends": self.ends,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """The enquiry after which a part begins."""

    opened_at: datetime
    enquiry_id: str


async def opening_of(connection: AsyncConnection, period: Period, place: int) -> datetime | None:
    """Return when the enquiry at a place, counted from 0, was opened; None: there are fewer."""
    row = await connection.execute(_NTH, {**period.as_parameters(), "place": place})
    found: datetime | None = row.scalar_one_or_none()
    return found


async def read_past(
    connection: AsyncConnection, period: Period, *, after: Place | None, limit: int
) -> tuple[list[PastEnquiry], Place | None]:
    """Return some enquiries in the order in which they were opened, and where the next begin.

    Without a place, there are no more.
    """
    start = Place(period.begins, "") if after is None else after
    rows = (
        await connection.execute(
            _PART,
            {
                **period.as_parameters(),
                "after": start.opened_at,
                "after_id": start.enquiry_id,
                "limit": limit,
            },
        )
    ).all()
    past = [
        PastEnquiry(
            opened_at=row.opened_at,
            went_to=row.went_to,
            assignment=row.assignment,
            refused_by=frozenset(row.refused_by),
            served_before_by=row.served_before_by,
            served_before_until=row.served_before_until,
        )
        for row in rows
    ]
    if len(rows) < limit:
        return past, None
    return past, Place(rows[-1].opened_at, rows[-1].id)
