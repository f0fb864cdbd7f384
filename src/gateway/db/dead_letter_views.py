"""Dead letters as people look at them, and do them again."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import dead_letters


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What was set aside: a record of a topic, or a delivery."""

    id: str
    account_id: str | None
    reason: str
    stage: str
    attempts: int
    at: datetime
    topic: str | None
    partition: int | None
    record_offset: int | None
    record_key: bytes | None
    record_headers: dict[str, str]
    record_value: bytes | None
    delivery_id: str | None
    redelivered_at: datetime | None


_SELECT: Final = select(*(dead_letters.c[field.name] for field in fields(DeadLetter)))


async def list_dead_letters(
    connection: AsyncConnection,
    account_id: str | None,
    *,
    reason: str | None,
    stage: str | None,
    before: str | None,
    limit: int,
) -> Sequence[DeadLetter]:
    """Return an account's dead letters, the newest first; of None, those of no account."""
    statement = _SELECT.where(_belongs_to(account_id))
    if reason is not None:
        statement = statement.where(dead_letters.c.reason == reason)
    if stage is not None:
        statement = statement.where(dead_letters.c.stage == stage)
    if before is not None:
        statement = statement.where(dead_letters.c.id < before)
    rows = await connection.execute(statement.order_by(dead_letters.c.id.desc()).limit(limit))
    return [DeadLetter(**row) for row in rows.mappings()]


async def get_dead_letter(
    connection: AsyncConnection, account_id: str | None, letter_id: str
) -> DeadLetter | None:
    """Return a dead letter of an account, or of none."""
    statement = _SELECT.where(_belongs_to(account_id), dead_letters.c.id == letter_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else DeadLetter(**row)


async def mark_redelivered(
    connection: AsyncConnection, account_id: str | None, letter_id: str, *, now: datetime
) -> None:
    """Note that a dead letter was done again."""
    await connection.execute(
        update(dead_letters)
        .where(_belongs_to(account_id), dead_letters.c.id == letter_id)
        .values(redelivered_at=now)
    )


async def delete_dead_letter(
    connection: AsyncConnection, account_id: str | None, letter_id: str
) -> bool:
    """Forget a dead letter; False: there is none."""
    result: Any = await connection.execute(
        delete(dead_letters).where(_belongs_to(account_id), dead_letters.c.id == letter_id)
    )
    return bool(result.rowcount)


def _belongs_to(account_id: str | None) -> ColumnElement[bool]:
    if account_id is None:
        return dead_letters.c.account_id.is_(None)
    return dead_letters.c.account_id == account_id
