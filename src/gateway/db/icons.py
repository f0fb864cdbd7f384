"""The pictures by which people know channels."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.tables import channel_icons

_CONTENT: Final = (channel_icons.c.mime_type, channel_icons.c.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """A channel's picture."""

    mime_type: str
    content: bytes


async def get_icon(connection: AsyncConnection, account_id: str, channel_id: str) -> Icon | None:
    """Return a channel's picture."""
    statement = select(*_CONTENT).where(*_of(account_id, channel_id))
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Icon(**row)


async def keep_icon(
    connection: AsyncConnection, account_id: str, channel_id: str, icon: Icon
) -> None:
    """Give a channel a picture, in place of the one that it has."""
    values = {"mime_type": icon.mime_type, "content": icon.content}
    statement = insert(channel_icons).values(account_id=account_id, channel_id=channel_id, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["account_id", "channel_id"], set_=values)
    )


async def drop_icon(connection: AsyncConnection, account_id: str, channel_id: str) -> None:
    """Take a channel's picture away."""
    await connection.execute(delete(channel_icons).where(*_of(account_id, channel_id)))


def _of(account_id: str, channel_id: str) -> tuple[Any, Any]:
    return channel_icons.c.account_id == account_id, channel_icons.c.channel_id == channel_id
