"""Who had something done again: one row a thing, kept for a year."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import audit_entries
from gateway.domain import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Somebody did something to something.

    `account_id` None: it belongs to no account. `actor` is the id of an API key, or `admin`.
    """

    account_id: str | None
    at: datetime
    actor: str
    action: str
    subject_id: str
    details: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: ids.new_id(ids.AUDIT_ENTRY))


_NAMES: Final = [each.name for each in fields(AuditEntry)]


async def write_audit(connection: AsyncConnection, entries: Iterable[AuditEntry]) -> None:
    """Write down who did what, in the transaction that does it."""
    rows = [{name: getattr(entry, name) for name in _NAMES} for entry in entries]
    if rows:
        await connection.execute(insert(audit_entries), rows)


async def list_audit(
    connection: AsyncConnection,
    account_id: str | None,
    *,
    action: str | None,
    subject_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[AuditEntry]:
    """Return an account's entries, the newest first; of None, those of no account."""
    columns = audit_entries.c
    statement = select(*(columns[name] for name in _NAMES)).where(
        columns.account_id.is_(None) if account_id is None else columns.account_id == account_id
    )
    if action is not None:
        statement = statement.where(columns.action == action)
    if subject_id is not None:
        statement = statement.where(columns.subject_id == subject_id)
    if before is not None:
        statement = statement.where(columns.id < before)
    rows = await connection.execute(statement.order_by(columns.id.desc()).limit(limit))
    return [AuditEntry(**row) for row in rows.mappings()]
