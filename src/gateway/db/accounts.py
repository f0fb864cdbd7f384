"""Accounts, for the instance's administrator."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.search import matches
from gateway.db.tables import accounts, channels, feed_counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's row."""

    id: str
    name: str
    concurrent_contacts_limit: int
    channels_limit: int | None
    departments_enabled: bool
    retention_days: int | None
    version: int
    created_at: datetime
    deleted_at: datetime | None


_SELECT: Final = select(*(accounts.c[field.name] for field in fields(Account)))


async def list_accounts(
    connection: AsyncConnection, *, search: str | None, before: str | None, limit: int
) -> list[Account]:
    """Return live accounts, the newest first, older than `before`."""
    statement = _SELECT.where(accounts.c.deleted_at.is_(None))
    if before is not None:
        statement = statement.where(accounts.c.id < before)
    if search is not None:
        statement = statement.where(or_(matches(accounts.c.name, search), accounts.c.id == search))
    rows = await connection.execute(statement.order_by(accounts.c.id.desc()).limit(limit))
    return [Account(**row) for row in rows.mappings()]


async def get_account(
    connection: AsyncConnection, account_id: str, *, lock: bool = False
) -> Account | None:
    """Return a live account."""
    statement = _SELECT.where(accounts.c.id == account_id, accounts.c.deleted_at.is_(None))
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Account(**row)


async def insert_account(connection: AsyncConnection, account: Account, *, now: datetime) -> None:
    """Insert an account and the counter of its feed."""
    values = {field.name: getattr(account, field.name) for field in fields(account)}
    await connection.execute(insert(accounts).values(**values, updated_at=now))
    await connection.execute(insert(feed_counters).values(account_id=account.id))


async def change_account(
    connection: AsyncConnection,
    account_id: str,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> None:
    """Write new values into an account's row and raise its version."""
    await connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id)
        .values(**changes, version=accounts.c.version + 1, updated_at=now)
    )


async def count_channels(connection: AsyncConnection, account_id: str) -> int:
    """Return how many channels an account has that are not deleted."""
    statement = select(func.count()).where(
        channels.c.account_id == account_id, channels.c.deleted_at.is_(None)
    )
    return int((await connection.execute(statement)).scalar_one())
