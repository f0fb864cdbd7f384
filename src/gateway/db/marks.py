"""Delivery and read marks that wait for their message."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.channels import Channel
from gateway.db.messages import Message
from gateway.db.tables import pending_marks

KEPT: Final = timedelta(hours=24)

_ADD: Final = text(
    """
    INSERT INTO pending_marks (account_id, channel_id, source_message_id, kind, at, expires_at)
    VALUES (:account_id, :channel_id, :source_message_id, :kind, :at, :expires_at)
    ON CONFLICT DO NOTHING
    """
)


async def keep_mark(
    connection: AsyncConnection,
    channel: Channel,
    source_message_id: str,
    kind: str,
    *,
    at: datetime,
    now: datetime,
) -> None:
    """Keep a mark (`delivered`, `read` or `failed`) for a message that is not known yet."""
    await connection.execute(
        _ADD,
        {
            "account_id": channel.account_id,
            "channel_id": channel.id,
            "source_message_id": source_message_id,
            "kind": kind,
            "at": at,
            "expires_at": now + KEPT,
        },
    )


async def take_marks(connection: AsyncConnection, message: Message) -> dict[str, datetime]:
    """Return and forget the marks that came before their message was sent, by kind.

    They name the message by the source's id of it, or by ours.
    """
    named = [name for name in (message.id, message.source_message_id) if name is not None]
    statement = (
        delete(pending_marks)
        .where(
            pending_marks.c.account_id == message.account_id,
            pending_marks.c.channel_id == message.channel_id,
            among(pending_marks.c.source_message_id, named),
        )
        .returning(pending_marks.c.kind, pending_marks.c.at)
    )
    return {row.kind: row.at for row in await connection.execute(statement)}
