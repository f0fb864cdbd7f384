"""What channels' links name: bots and endpoints that must not go while a channel lives by them."""

from typing import Final

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import bots, endpoints

_IS_LINKED: Final = text(
    """
    SELECT EXISTS (
      SELECT 1 FROM channels
      WHERE account_id = :account_id AND deleted_at IS NULL
        AND :destination_id IN (link ->> 'bot_id', link ->> 'endpoint_id'))
    """
)


async def hold_bot(connection: AsyncConnection, account_id: str, bot_id: str) -> bool:
    """Say whether a bot exists; if so, nobody deletes it before this transaction ends."""
    return await _hold(connection, bots, account_id, bot_id)


async def hold_endpoint(connection: AsyncConnection, account_id: str, endpoint_id: str) -> bool:
    """Say whether an endpoint exists; if so, nobody deletes it before this transaction ends."""
    return await _hold(connection, endpoints, account_id, endpoint_id)


async def is_linked(connection: AsyncConnection, account_id: str, destination_id: str) -> bool:
    """Say whether a bot or an endpoint, which is locked, has a channel that lives."""
    values = {"account_id": account_id, "destination_id": destination_id}
    return bool((await connection.execute(_IS_LINKED, values)).scalar_one())


async def _hold(connection: AsyncConnection, table: Table, account_id: str, row_id: str) -> bool:
    # Who deletes locks the whole row; who only notes how it does is not held up.
    statement = (
        table.select()
        .with_only_columns(table.c.id)
        .where(table.c.account_id == account_id, table.c.id == row_id)
        .where(table.c.deleted_at.is_(None))
        .with_for_update(read=True, key_share=True)
    )
    return (await connection.execute(statement)).first() is not None
