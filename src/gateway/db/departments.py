"""Departments, and how many of them the channels of an account need."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.edited import EditedTable
from gateway.db.tables import departments


@dataclass(frozen=True, slots=True, kw_only=True)
class Department:
    """A department's row."""

    account_id: str
    id: str
    name: str
    version: int
    created_at: datetime
    deleted_at: datetime | None


DEPARTMENTS: Final = EditedTable(departments, Department)

_COUNT: Final = text(
    "SELECT count(*) FROM departments WHERE account_id = :account_id AND deleted_at IS NULL"
)
_CHANNELS_OF: Final = text(
    """
    SELECT count(*) FROM channels
    WHERE account_id = :account_id AND department_id = :department_id AND status <> 'deleted'
    """
)


async def count_departments(connection: AsyncConnection, account_id: str) -> int:
    """Return how many departments an account has."""
    return int((await connection.execute(_COUNT, {"account_id": account_id})).scalar_one())


async def count_channels_of(
    connection: AsyncConnection, account_id: str, department_id: str
) -> int:
    """Return how many channels belong to a department; deleted ones do not count."""
    values = {"account_id": account_id, "department_id": department_id}
    return int((await connection.execute(_CHANNELS_OF, values)).scalar_one())
