"""Comments on posts: when they were written, by whom, and which message replies to them privately.

A comment that we never heard of has a row from its reply on. What was said is not kept here.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import as_json

# Well past the time in which it may be replied to, so that what comes too late is refused.
KEPT: Final = timedelta(days=30)

_COLUMNS: Final = "account_id, channel_id, comment_id, author_id, commented_at, message_id"
_KEEP: Final = text(
    """
    INSERT INTO comments (account_id, channel_id, comment_id, author_id, commented_at, expires_at)
    SELECT r.*, :expires_at FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
      account_id text, channel_id text, comment_id text, author_id text, commented_at timestamptz)
    ORDER BY r.account_id, r.channel_id, r.comment_id
    ON CONFLICT (account_id, channel_id, comment_id) DO UPDATE
    SET author_id = coalesce(comments.author_id, excluded.author_id),
        commented_at = coalesce(comments.commented_at, excluded.commented_at)
    WHERE comments.commented_at IS NULL OR comments.author_id IS NULL
    """
)
_MAKE: Final = text(
    """
    INSERT INTO comments (account_id, channel_id, comment_id, expires_at)
    VALUES (:account_id, :channel_id, :comment_id, :expires_at)
    ON CONFLICT DO NOTHING
    """
)
_LOCK: Final = text(
    f"SELECT {_COLUMNS} FROM comments "  # noqa: S608 - constant column names
    "WHERE account_id = :account_id AND channel_id = :channel_id AND comment_id = :comment_id "
    "FOR UPDATE"
)
_NOTE: Final = text(
    """
    UPDATE comments SET message_id = :message_id
    WHERE account_id = :account_id AND channel_id = :channel_id AND comment_id = :comment_id
    """
)
_FIND_APART: Final = text(
    """
    SELECT c.message_id, m.conversation_id
    FROM comments c JOIN messages m ON m.account_id = c.account_id AND m.id = c.message_id
    WHERE c.message_id = ANY(:message_ids)
    UNION ALL
    SELECT m.id, m.conversation_id
    FROM messages m
    JOIN conversations v ON v.account_id = m.account_id AND v.id = m.conversation_id
    WHERE m.id = ANY(:message_ids) AND v.continued_in IS NOT NULL
    """
)


@dataclass(slots=True, kw_only=True)
class Comment:
    """A comment's row; what is not known of it is None."""

    account_id: str
    channel_id: str
    comment_id: str
    author_id: str | None = None
    commented_at: datetime | None = None
    # The private reply that it has, or that is on its way.
    message_id: str | None = None


async def keep_comments(
    connection: AsyncConnection, comments: Sequence[Comment], *, now: datetime
) -> None:
    """Keep comments that were just heard of; before any conversation is locked."""
    if not comments:
        return
    # One statement cannot write a row twice.
    first = {(each.channel_id, each.comment_id): each for each in reversed(comments)}
    rows = [asdict(each) for each in first.values()]
    await connection.execute(_KEEP, {"rows": as_json(rows), "expires_at": now + KEPT})


async def lock_comment(
    connection: AsyncConnection, account_id: str, channel_id: str, comment_id: str, *, now: datetime
) -> Comment:
    """Return a comment under lock, known or not; before any conversation is locked."""
    key = {"account_id": account_id, "channel_id": channel_id, "comment_id": comment_id}
    await connection.execute(_MAKE, key | {"expires_at": now + KEPT})
    row = (await connection.execute(_LOCK, key)).mappings().one()
    return Comment(**row)


async def note_reply(connection: AsyncConnection, comment: Comment, message_id: str) -> None:
    """Note which message replies to a locked comment."""
    await connection.execute(
        _NOTE,
        {
            "account_id": comment.account_id,
            "channel_id": comment.channel_id,
            "comment_id": comment.comment_id,
            "message_id": message_id,
        },
    )


async def find_apart(connection: AsyncConnection, message_ids: Collection[str]) -> dict[str, str]:
    """Return which of these messages may stand apart from their contact's conversation, and where.

    Those that reply to comments do, and those of a conversation that goes on elsewhere.
    """
    if not message_ids:
        return {}
    rows = await connection.execute(_FIND_APART, {"message_ids": list(message_ids)})
    return {row.message_id: row.conversation_id for row in rows}
