"""Files that Pages have with Meta, so that the same file is uploaded once."""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIND: Final = text(
    """
    UPDATE page_attachments SET last_used_at = :now
    WHERE account_id = :account_id AND channel_id = :channel_id AND sha256 = :sha256
      AND kind = :kind AND created_at > :since
    RETURNING attachment_id
    """
)
_KEEP: Final = text(
    """
    INSERT INTO page_attachments
      (account_id, channel_id, sha256, kind, attachment_id, created_at, last_used_at)
    VALUES (:account_id, :channel_id, :sha256, :kind, :attachment_id, :now, :now)
    ON CONFLICT (account_id, channel_id, sha256, kind) DO UPDATE
    SET attachment_id = excluded.attachment_id, created_at = excluded.created_at,
        last_used_at = excluded.last_used_at
    """
)
_FORGET: Final = text(
    "DELETE FROM page_attachments WHERE account_id = :account_id AND channel_id = :channel_id "
    "AND attachment_id = :attachment_id"
)


async def find_page_attachment(
    connection: AsyncConnection,
    account_id: str,
    channel_id: str,
    *,
    sha256: str,
    kind: str,
    since: datetime,
    now: datetime,
) -> str | None:
    """Return Meta's id of a file that was uploaded after a moment, to be sent as some kind."""
    found = await connection.execute(
        _FIND,
        {
            "account_id": account_id,
            "channel_id": channel_id,
            "sha256": sha256,
            "kind": kind,
            "since": since,
            "now": now,
        },
    )
    attachment_id: str | None = found.scalar_one_or_none()
    return attachment_id


async def keep_page_attachment(
    connection: AsyncConnection,
    account_id: str,
    channel_id: str,
    *,
    sha256: str,
    kind: str,
    attachment_id: str,
    now: datetime,
) -> None:
    """Keep Meta's id of a file; a newer one takes the place of an older one."""
    await connection.execute(
        _KEEP,
        {
            "account_id": account_id,
            "channel_id": channel_id,
            "sha256": sha256,
            "kind": kind,
            "attachment_id": attachment_id,
            "now": now,
        },
    )


async def forget_page_attachment(
    connection: AsyncConnection, account_id: str, channel_id: str, attachment_id: str
) -> None:
    """Forget an id that Meta does not know any more."""
    await connection.execute(
        _FORGET,
        {"account_id": account_id, "channel_id": channel_id, "attachment_id": attachment_id},
    )
