"""Forgets what a person wrote where everybody may read it: comments, posts, reviews.

A source tells of these without a contact. They are known by the writer's id in what it told, which
is the one that the person has as a contact, too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contracts.inbound import NO_CONTACT
from gateway.db.erasures import ANSWERS_TO_EVENTS, EmptiedEvents, Subject, empty_events

# As in the index; a rating of a Page names its writer in a way of its own.
_BY_WRITER: Final = (
    "account_id = :account_id AND channel_id = :channel_id"
    " AND type IN ('gateway.comment.received.v1', 'gateway.page.changed.v1')"
    " AND coalesce(data #>> '{comment,author,id}', data #>> '{page_change,value,from,id}',"
    " data #>> '{page_change,value,reviewer_id}') = :writer_id"
)
_FIND_WRITER: Final = text(
    """
    SELECT author_id FROM comments
    WHERE account_id = :account_id AND channel_id = :channel_id AND comment_id = :comment_id
    """
)
_FORGET_WRITER: Final = text(
    """
    UPDATE comments SET author_id = NULL
    WHERE account_id = :account_id AND channel_id = :channel_id AND author_id = :writer_id
    """
)
_PARKED: Final = text(
    """
    DELETE FROM parked
    WHERE kind = :kind AND source_id = :source_id AND contact_id = :nobody
      AND position(CAST(:named AS bytea) IN record_value) > 0
    """
)
_LETTERS: Final = text(
    """
    DELETE FROM dead_letters
    WHERE (account_id = :account_id OR account_id IS NULL) AND record_key = ANY(:keys)
      AND position(CAST(:named AS bytea) IN record_value) > 0
    """
)


async def find_writer(
    connection: AsyncConnection, account_id: str, channel_id: str, comment_id: str
) -> str | None:
    """Return the source's id of who wrote a comment, if it was told."""
    key = {"account_id": account_id, "channel_id": channel_id, "comment_id": comment_id}
    return (await connection.execute(_FIND_WRITER, key)).scalar_one_or_none()


async def erase_comments(
    connection: AsyncConnection, subject: Subject, *, keys: Sequence[bytes], now: datetime
) -> EmptiedEvents:
    """Empty the events that told of what a person wrote, and delete what waits or was set aside.

    `keys` are those under which records of the source as a whole, and events of the account, are
    set aside.
    """
    writer = {
        "account_id": subject.account_id,
        "channel_id": subject.channel_id,
        "writer_id": subject.writer_id,
    }
    emptied = await empty_events(connection, _BY_WRITER, writer, now=now)
    # As the records spell it, which are JSON.
    named = f'"{subject.writer_id}"'.encode("utf-8", "surrogatepass")
    await connection.execute(
        _PARKED,
        {
            "kind": subject.kind,
            "source_id": subject.source_id,
            "nobody": NO_CONTACT,
            "named": named,
        },
    )
    await connection.execute(
        _LETTERS, {"account_id": subject.account_id, "keys": list(keys), "named": named}
    )
    await connection.execute(_FORGET_WRITER, writer)
    return emptied


async def erase_answers(connection: AsyncConnection, event_ids: Sequence[str]) -> None:
    """Forget what was answered to events that nothing tells any more whose they were."""
    await connection.execute(ANSWERS_TO_EVENTS, {"ids": list(event_ids)})
