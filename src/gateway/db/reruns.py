"""Reruns: redeliveries and replays of many, a part at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import reruns
from gateway.domain import ids

RerunKind: TypeAlias = Literal["dead_letters", "deliveries", "events"]
RerunStatus: TypeAlias = Literal["running", "finished", "cancelled", "failed"]


@dataclass(slots=True, kw_only=True)
class Rerun:
    """A rerun's row.

    Attributes:
        filter: What was asked for, as its kind reads it.
        actor: Whose key asked for it.
        place: How far it has come; None: nowhere yet.
        redelivered: How many were done again so far.
        passed_over: How many could not be.
        next_at: When its next part is due.
    """

    account_id: str | None
    kind: RerunKind
    filter: dict[str, Any]
    actor: str
    next_at: datetime
    created_at: datetime
    endpoint_id: str | None = None
    status: RerunStatus = "running"
    place: str | None = None
    redelivered: int = 0
    passed_over: int = 0
    finished_at: datetime | None = None
    id: str = field(default_factory=lambda: ids.new_id(ids.RERUN))

    def end(self, status: RerunStatus, *, now: datetime) -> None:
        """End it."""
        self.status, self.finished_at = status, now


_NAMES: Final = [each.name for each in fields(Rerun)]
_SELECT: Final = select(*(reruns.c[name] for name in _NAMES))


async def insert_rerun(connection: AsyncConnection, rerun: Rerun) -> None:
    """Insert a rerun."""
    values = {name: getattr(rerun, name) for name in _NAMES}
    await connection.execute(insert(reruns).values(**values))


async def get_rerun(
    connection: AsyncConnection, account_id: str | None, rerun_id: str, *, lock: bool = False
) -> Rerun | None:
    """Return a rerun of an account, or of none."""
    statement = _SELECT.where(_belongs_to(account_id), reruns.c.id == rerun_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Rerun(**row)


async def list_reruns(
    connection: AsyncConnection,
    account_id: str | None,
    *,
    status: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Rerun]:
    """Return an account's reruns, the newest first; of None, those of no account."""
    statement = _SELECT.where(_belongs_to(account_id))
    if status is not None:
        statement = statement.where(reruns.c.status == status)
    if before is not None:
        statement = statement.where(reruns.c.id < before)
    rows = await connection.execute(statement.order_by(reruns.c.id.desc()).limit(limit))
    return [Rerun(**row) for row in rows.mappings()]


async def take_due_rerun(connection: AsyncConnection, *, now: datetime) -> Rerun | None:
    """Lock and return a rerun whose next part is due, and that nobody else works on."""
    statement = (
        _SELECT.where(reruns.c.status == "running", reruns.c.next_at <= now)
        .order_by(reruns.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Rerun(**row)


async def save_rerun(connection: AsyncConnection, rerun: Rerun) -> None:
    """Write back how far a locked rerun has come."""
    await connection.execute(
        update(reruns)
        .where(reruns.c.id == rerun.id)
        .values(
            status=rerun.status,
            place=rerun.place,
            redelivered=rerun.redelivered,
            passed_over=rerun.passed_over,
            next_at=rerun.next_at,
            finished_at=rerun.finished_at,
        )
    )


def _belongs_to(account_id: str | None) -> ColumnElement[bool]:
    if account_id is None:
        return reruns.c.account_id.is_(None)
    return reruns.c.account_id == account_id
