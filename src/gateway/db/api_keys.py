"""API keys of accounts; of a secret only its SHA-256 is stored."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import accounts, api_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRow:
    """An API key's row."""

    account_id: str
    id: str
    name: str
    scopes: list[str]
    secret_hash: bytes
    previous_secret_hash: bytes | None
    previous_expires_at: datetime | None
    created_at: datetime


_COLUMNS: Final = tuple(api_keys.c[field.name] for field in fields(ApiKeyRow))
_LIVE: Final = select(*_COLUMNS).where(api_keys.c.revoked_at.is_(None))


async def find_key(connection: AsyncConnection, key_id: str) -> ApiKeyRow | None:
    """Return a live key of a live account, whoever's it is: the caller is about to prove it."""
    statement = _LIVE.join(accounts, accounts.c.id == api_keys.c.account_id).where(
        api_keys.c.id == key_id, accounts.c.deleted_at.is_(None)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else ApiKeyRow(**row)


async def list_keys(
    connection: AsyncConnection, account_id: str, *, before: str | None, limit: int
) -> list[ApiKeyRow]:
    """Return live keys of an account, the newest first, older than `before`."""
    statement = _LIVE.where(api_keys.c.account_id == account_id)
    if before is not None:
        statement = statement.where(api_keys.c.id < before)
    rows = await connection.execute(statement.order_by(api_keys.c.id.desc()).limit(limit))
    return [ApiKeyRow(**row) for row in rows.mappings()]


async def get_key(connection: AsyncConnection, account_id: str, key_id: str) -> ApiKeyRow | None:
    """Return a live key of an account, locked."""
    statement = _LIVE.where(api_keys.c.account_id == account_id, api_keys.c.id == key_id)
    row = (await connection.execute(statement.with_for_update())).mappings().one_or_none()
    return None if row is None else ApiKeyRow(**row)


async def insert_key(connection: AsyncConnection, key: ApiKeyRow) -> None:
    """Insert a key."""
    values = {field.name: getattr(key, field.name) for field in fields(key)}
    await connection.execute(insert(api_keys).values(values))


async def replace_secret(
    connection: AsyncConnection, key: ApiKeyRow, *, secret_hash: bytes, previous_until: datetime
) -> None:
    """Give a key another secret; the present one lives on until a moment."""
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.account_id == key.account_id, api_keys.c.id == key.id)
        .values(
            secret_hash=secret_hash,
            previous_secret_hash=key.secret_hash,
            previous_expires_at=previous_until,
        )
    )


async def revoke_key(
    connection: AsyncConnection, account_id: str, key_id: str, *, now: datetime
) -> bool:
    """End a key at once; False where there is none."""
    result = await connection.execute(
        update(api_keys)
        .where(
            api_keys.c.account_id == account_id,
            api_keys.c.id == key_id,
            api_keys.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    return result.rowcount == 1
