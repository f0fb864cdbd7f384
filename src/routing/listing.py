"""Lists enquiries of an account, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.enquiries import Enquiry
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


async def list_enquiries(
    connection: AsyncConnection,
    account_id: str,
    wanted: EnquiryFilter,
    *,
    before: str | None,
    limit: int,
) -> list[Enquiry]:
    """Return enquiries, the newest first, older than `before`; filters hold together."""
    given = {name: getattr(wanted, name) for name in _CONDITIONS}
    given = {name: value for name, value in given.items() if value is not None}
    conditions = ["account_id = :account_id", *(_CONDITIONS[name] for name in given)]
    if before is not None:
        conditions.append("id < :before")
    statement = text(
        f"SELECT id FROM enquiries WHERE {' AND '.join(conditions)} "  # noqa: S608 - constant texts
        "ORDER BY id DESC LIMIT :limit"
    )
    parameters = given | {"account_id": account_id, "before": before, "limit": limit}
    if before is None:
        del parameters["before"]
    found = (await connection.execute(statement, parameters)).scalars().all()
    rows = await get_enquiries(connection, account_id, found)
    return [rows[enquiry_id] for enquiry_id in found]
