"""Re-encrypts every secret under the key that encrypts now, while the roles run on.

Each batch locks its rows and writes only those that are under an older key, so that a secret which
is changed meanwhile keeps its new value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.channel_writes import secret_row as channel_secret
from gateway.db.endpoints import secret_row as endpoint_secret
from gateway.db.meta_apps import secret_row as app_secret
from gateway.db.page_tokens import secret_row as page_token_secret
from gateway.db.secrets import KeyRing
from gateway.db.tables import channels, endpoints, meta_apps, page_tokens
from gateway.db.unit_of_work import Database

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class _Place:
    """A table with secrets: its key, its encrypted columns, and what a secret is bound to."""

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    bound_to: Callable[[Row[Any], str], str]


_PLACES: Final = (
    _Place(
        meta_apps,
        ("app_id",),
        ("app_secrets", "verify_token"),
        lambda row, column: app_secret(row.app_id, column),
    ),
    _Place(
        channels,
        ("account_id", "id"),
        ("page_access_token", "signing_secret", "previous_signing_secret"),
        lambda row, column: channel_secret(row.id, column),
    ),
    _Place(
        page_tokens,
        ("account_id", "meta_app_id", "page_id", "user_id"),
        ("token",),
        lambda row, _: page_token_secret(row.account_id, row.page_id, row.user_id),
    ),
    _Place(
        endpoints,
        ("account_id", "id"),
        ("authentication", "headers", "signing_secret", "previous_signing_secret"),
        lambda row, column: endpoint_secret(row.id, column),
    ),
)


async def rotate_keys(database: Database) -> int:
    """Re-encrypt what is under an older key and return how many secrets were.

    Answers kept for idempotency keys are left: they end within a day.

    Raises:
        UndecryptableError: A secret's key is not among the keys given.
    """
    rotated = 0
    for place in _PLACES:
        after: tuple[Any, ...] | None = None
        while True:
            async with database.unit_of_work() as work:
                rows = await _batch(work.connection, place, after)
                for row in rows:
                    rotated += await _rotate(work.connection, work.keyring, place, row)
            if len(rows) < _BATCH:
                break
            after = tuple(getattr(rows[-1], name) for name in place.key)
    return rotated


async def _batch(
    connection: AsyncConnection, place: _Place, after: tuple[Any, ...] | None
) -> list[Row[Any]]:
    key = [place.table.c[name] for name in place.key]
    statement = (
        select(*key, *(place.table.c[name] for name in place.columns))
        .order_by(*key)
        .limit(_BATCH)
        .with_for_update()
    )
    if after is not None:
        statement = statement.where(tuple_(*key) > after)
    return list((await connection.execute(statement)).all())


async def _rotate(
    connection: AsyncConnection, keyring: KeyRing, place: _Place, row: Row[Any]
) -> int:
    changes: dict[str, Any] = {}
    rotated = 0
    for column in place.columns:
        value = getattr(row, column)
        secrets = value if isinstance(value, list) else [value]
        old = [
            secret for secret in secrets if secret is not None and not keyring.is_current(secret)
        ]
        if not old:
            continue
        bound_to = place.bound_to(row, column)
        fresh = [
            keyring.encrypt(keyring.decrypt(secret, row=bound_to), row=bound_to)
            for secret in secrets
        ]
        changes[column] = fresh if isinstance(value, list) else fresh[0]
        rotated += len(old)
    if changes:
        await connection.execute(update(place.table).where(_is(place, row)).values(**changes))
    return rotated


def _is(place: _Place, row: Row[Any]) -> ColumnElement[bool]:
    key = [place.table.c[name] for name in place.key]
    return tuple_(*key) == tuple(getattr(row, name) for name in place.key)
