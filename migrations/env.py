"""Runs migrations under an advisory lock, so that two deployers queue, with time-outs on locks."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.db.tables import metadata

# Any number, as long as nobody else in the database uses it.
_DEPLOYERS_QUEUE_HERE = 7_203_554_861
_ASK_SECONDS = 0.2


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=False,
        transaction_per_migration=True,
        include_object=_is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


def _is_ours(
    _object: object, name: str | None, kind: str, _reflected: object, _compared: object
) -> bool:
    # The days of a partitioned table are made by maintenance, not by a migration.
    return not (kind == "table" and name is not None and name.startswith("events_"))


async def _online() -> None:
    url = context.config.attributes["database_url"]
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await _wait_for_the_others(connection)
        await connection.execute(text("SET lock_timeout = '5s'"))
        await connection.execute(text("SET statement_timeout = '60s'"))
        await connection.commit()
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


async def _wait_for_the_others(connection: AsyncConnection) -> None:
    # Asked time and again: a statement that waits holds a snapshot, and who makes an index without
    # blocking others waits until all older snapshots are gone.
    take = text("SELECT pg_try_advisory_lock(:key)")
    while True:
        taken = (await connection.execute(take, {"key": _DEPLOYERS_QUEUE_HERE})).scalar_one()
        await connection.commit()
        if taken:
            return
        await asyncio.sleep(_ASK_SECONDS)


def _offline() -> None:
    context.configure(
        dialect_name="postgresql", target_metadata=metadata, literal_binds=True, as_sql=True
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _offline()
elif (_given := context.config.attributes.get("connection")) is not None:
    _migrate(_given)
else:
    asyncio.run(_online())
