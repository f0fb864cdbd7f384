"""Meta apps, of the instance; their secrets stay encrypted until somebody needs them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.secrets import KeyRing
from gateway.db.tables import channels, meta_apps, secret_versions
from gateway.db.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaApp:
    """A Meta app's row, secrets still encrypted; the first of its secrets is the one in use."""

    app_id: str
    name: str
    app_secrets: list[bytes]
    verify_token: bytes
    graph_version: str
    version: int
    created_at: datetime

    def open_secrets(self, keyring: KeyRing) -> list[SecretStr]:
        """Return its app secrets, one or two."""
        row = secret_row(self.app_id, "app_secrets")
        return [SecretStr(keyring.decrypt(bytes(each), row=row)) for each in self.app_secrets]

    def open_verify_token(self, keyring: KeyRing) -> SecretStr:
        """Return the token of Meta's handshake."""
        row = secret_row(self.app_id, "verify_token")
        return SecretStr(keyring.decrypt(bytes(self.verify_token), row=row))


_SELECT: Final = select(*(meta_apps.c[field.name] for field in fields(MetaApp)))


def secret_row(app_id: str, column: str) -> str:
    """Return the associated data of one of an app's secrets."""
    return f"meta_apps/{app_id}/{column}"


async def list_apps(
    connection: AsyncConnection, *, after: str | None = None, limit: int | None = None
) -> list[MetaApp]:
    """Return apps by their ids, from after one."""
    statement = _SELECT.order_by(meta_apps.c.app_id).limit(limit)
    if after is not None:
        statement = statement.where(meta_apps.c.app_id > after)
    return [MetaApp(**row) for row in (await connection.execute(statement)).mappings()]


async def get_app(
    connection: AsyncConnection, app_id: str, *, lock: bool = False
) -> MetaApp | None:
    """Return an app."""
    statement = _SELECT.where(meta_apps.c.app_id == app_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else MetaApp(**row)


async def insert_app(connection: AsyncConnection, app: MetaApp, *, now: datetime) -> None:
    """Insert an app.

    Raises:
        sqlalchemy.exc.IntegrityError: There is one with this id.
    """
    values = {field.name: getattr(app, field.name) for field in fields(app)}
    await connection.execute(insert(meta_apps).values(**values, updated_at=now))


async def change_app(
    connection: AsyncConnection,
    app_id: str,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> None:
    """Write new values into an app's row and raise its version."""
    await connection.execute(
        update(meta_apps)
        .where(meta_apps.c.app_id == app_id)
        .values(**changes, version=meta_apps.c.version + 1, updated_at=now)
    )


async def delete_app(connection: AsyncConnection, app_id: str) -> bool:
    """Delete an app that no channel was ever made with; False where one was."""
    used = exists().where(channels.c.meta_app_id == app_id)
    result = await connection.execute(delete(meta_apps).where(meta_apps.c.app_id == app_id, ~used))
    return result.rowcount == 1


async def raise_secret_version(work: UnitOfWork) -> None:
    """Let every cache of secrets know that one may have changed; last in a transaction.

    Everybody waits for this one row, so what is announced is written before: whoever holds the row
    waits for nothing any more.
    """
    await work.flush()
    await work.connection.execute(
        update(secret_versions).values(version=secret_versions.c.version + 1)
    )


def seal_secrets(keyring: KeyRing, app_id: str, secrets: Sequence[SecretStr]) -> list[bytes]:
    """Return app secrets as they are stored."""
    row = secret_row(app_id, "app_secrets")
    return [keyring.encrypt(secret.get_secret_value(), row=row) for secret in secrets]
