"""Facebook logins, from their start to what became of the Pages that were chosen."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import facebook_logins
from gateway.domain.login import LoginState

_MISSED: Final = ("granted", "finished", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login's row."""

    account_id: str
    id: str
    meta_app_id: str
    key_id: str
    channel_id: str | None
    return_url: str | None
    state: LoginState
    error: dict[str, Any] | None
    asks_again: bool
    browser_hash: bytes | None
    nonce_hash: bytes | None
    user_id: str | None
    scopes: list[str]
    pages: list[dict[str, Any]]
    lost: list[str]
    # Until when the browser may begin, and come back.
    expires_at: datetime
    created_at: datetime


_COLUMNS: Final = tuple(facebook_logins.c[field.name] for field in fields(Login))


def _login_of(row: Any) -> Login:  # noqa: ANN401 - a row of these columns
    values = dict(row)
    values["state"] = LoginState(values["state"])
    return Login(**values)


async def insert_login(connection: AsyncConnection, login: Login, *, now: datetime) -> None:
    """Insert a login."""
    values = {field.name: getattr(login, field.name) for field in fields(login)}
    await connection.execute(insert(facebook_logins).values(**values, updated_at=now))


async def get_login(
    connection: AsyncConnection,
    login_id: str,
    *,
    account_id: str | None = None,
    lock: bool = False,
) -> Login | None:
    """Return a login; for browsers, which have no key, without its account."""
    statement = select(*_COLUMNS).where(facebook_logins.c.id == login_id)
    if account_id is not None:
        statement = statement.where(facebook_logins.c.account_id == account_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else _login_of(row)


async def change_login(
    connection: AsyncConnection,
    login: Login,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> Login:
    """Write new values into a login's row and return it as it is now."""
    statement = (
        update(facebook_logins)
        .where(facebook_logins.c.account_id == login.account_id, facebook_logins.c.id == login.id)
        .values(**changes, updated_at=now)
        .returning(*_COLUMNS)
    )
    return _login_of((await connection.execute(statement)).mappings().one())


async def last_scopes(
    connection: AsyncConnection, account_id: str, meta_app_id: str
) -> list[str] | None:
    """Return what the last login of an account that came back was granted; None without one."""
    statement = (
        select(facebook_logins.c.scopes)
        .where(
            facebook_logins.c.account_id == account_id,
            facebook_logins.c.meta_app_id == meta_app_id,
            facebook_logins.c.state.in_(_MISSED),
            facebook_logins.c.user_id.is_not(None),
        )
        .order_by(facebook_logins.c.created_at.desc())
        .limit(1)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def forget_logins(connection: AsyncConnection, meta_app_id: str, user_id: str) -> None:
    """Take a person out of every login that was theirs, whosever account began it."""
    await connection.execute(
        update(facebook_logins)
        .where(facebook_logins.c.meta_app_id == meta_app_id, facebook_logins.c.user_id == user_id)
        .values(user_id=None, scopes=[], pages=[])
    )
