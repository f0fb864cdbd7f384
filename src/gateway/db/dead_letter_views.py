"""Dead letters as people look at them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.tables import dead_letters, deliveries


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
    put_back_at: datetime | None
    redelivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters are meant; None leaves a thing open. `until` itself is not meant."""

    reason: str | None = None
    stage: str | None = None
    endpoint_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    redelivered: bool | None = None


_SELECT: Final = select(*(dead_letters.c[field.name] for field in fields(DeadLetter)))


async def list_dead_letters(
    connection: AsyncConnection,
    account_id: str | None,
    wanted: Wanted,
    *,
    before: str | None,
    limit: int,
) -> Sequence[DeadLetter]:
    """Return an account's dead letters, the newest first; of None, those of no account."""
    statement = _SELECT.where(_belongs_to(account_id), *_conditions(wanted))
    if before is not None:
        statement = statement.where(dead_letters.c.id < before)
    rows = await connection.execute(statement.order_by(dead_letters.c.id.desc()).limit(limit))
    return [DeadLetter(**row) for row in rows.mappings()]


async def lock_dead_letters(
    connection: AsyncConnection, account_id: str | None, wanted: Wanted, *, after: str, limit: int
) -> Sequence[DeadLetter]:
    """Lock dead letters that come after an id, and return them, the oldest first."""
    statement = _SELECT.where(
        _belongs_to(account_id), *_conditions(wanted), dead_letters.c.id > after
    )
    rows = await connection.execute(
        statement.order_by(dead_letters.c.id).limit(limit).with_for_update()
    )
    return [DeadLetter(**row) for row in rows.mappings()]


async def get_dead_letter(
    connection: AsyncConnection, account_id: str | None, letter_id: str, *, lock: bool = False
) -> DeadLetter | None:
    """Return a dead letter of an account, or of none."""
    statement = _SELECT.where(_belongs_to(account_id), dead_letters.c.id == letter_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else DeadLetter(**row)


async def mark_redelivered(
    connection: AsyncConnection, letter_ids: Collection[str], *, now: datetime
) -> None:
    """Note that locked dead letters were done again."""
    await connection.execute(
        update(dead_letters).where(among(dead_letters.c.id, letter_ids)).values(redelivered_at=now)
    )


async def put_back(
    connection: AsyncConnection, letter_ids: Collection[str], *, now: datetime
) -> None:
    """Have the relay put the records of locked dead letters back on their topics, in order."""
    await connection.execute(
        update(dead_letters).where(among(dead_letters.c.id, letter_ids)).values(put_back_at=now)
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


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    columns = dead_letters.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.reason is not None:
        conditions.append(columns.reason == wanted.reason)
    if wanted.stage is not None:
        conditions.append(columns.stage == wanted.stage)
    if wanted.since is not None:
        conditions.append(columns.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.at < wanted.until)
    if wanted.redelivered is not None:
        is_none = columns.redelivered_at.is_(None) & columns.put_back_at.is_(None)
        conditions.append(~is_none if wanted.redelivered else is_none)
    if wanted.endpoint_id is not None:
        of_endpoint = exists().where(
            deliveries.c.id == columns.delivery_id, deliveries.c.target_id == wanted.endpoint_id
        )
        conditions.append(of_endpoint)
    return conditions
