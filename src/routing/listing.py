"""Lists enquiries of an account, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.enquiries import Enquiry, EnquiryStatus
from routing.repository import get_enquiries


@dataclass(frozen=True, slots=True, kw_only=True)
class EnquiryFilter:
    """Which enquiries are wanted; what is None does not matter."""

    status: str | None = None
    channel_id: str | None = None
    contact_id: str | None = None
    agent_id: str | None = None
    destination_id: str | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None


_CONDITIONS: Final = {
    "status": "status = :status",
    "channel_id": "channel_id = :channel_id",
    "contact_id": "contact_id = :contact_id",
    "agent_id": "agent_id = :agent_id",
    "destination_id": "destination ->> 'id' = :destination_id",
    "opened_after": "opened_at >= :opened_after",
    "opened_before": "opened_at < :opened_before",
}
# These are indexed with the status behind them, and then the time.
_BEFORE_STATUS: Final = frozenset({"channel_id", "agent_id", "destination_id"})
_STATUSES: Final = [status.value for status in EnquiryStatus]


async def list_enquiries(
    connection: AsyncConnection,
    account_id: str,
    wanted: EnquiryFilter,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Enquiry]:
    """Return enquiries, the newest first, that come after `before`; filters hold together.

    `before` is when an enquiry was opened, and its id.
    """
    given = {name: getattr(wanted, name) for name in _CONDITIONS}
    given = {name: value for name, value in given.items() if value is not None}
    conditions = ["account_id = :account_id", *(_CONDITIONS[name] for name in given)]
    parameters = given | {"account_id": account_id, "limit": limit}
    if before is not None:
        conditions.append("(opened_at, id) < (:before_at, :before_id)")
        parameters |= {"before_at": before[0], "before_id": before[1]}
    newest = "ORDER BY opened_at DESC, id DESC LIMIT :limit"
    if _BEFORE_STATUS & given.keys() and not {"status", "contact_id"} & given.keys():
        # A page of each status, each in the order of the index, and one page of these. Otherwise
        # all that is of one channel and not of one agent would be passed by for it.
        conditions.append("status = s.status")
        parameters |= {"statuses": _STATUSES}
        statement = f"""
            SELECT e.id FROM unnest(CAST(:statuses AS text[])) AS s(status) CROSS JOIN LATERAL (
              SELECT id, opened_at FROM enquiries WHERE {" AND ".join(conditions)} {newest}
            ) e {newest}
            """  # noqa: S608 - constant texts
    else:
        statement = f"SELECT id FROM enquiries WHERE {' AND '.join(conditions)} {newest}"  # noqa: S608 - constant texts
    found = (await connection.execute(text(statement), parameters)).scalars().all()
    rows = await get_enquiries(connection, account_id, found)
    return [rows[enquiry_id] for enquiry_id in found]
