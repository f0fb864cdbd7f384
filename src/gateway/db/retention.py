"""Removes what people said once it is past its account's retention, a little at a time.

Messages are gone through in the order of their ids, which is that of time, events in that of their
positions; how far the sweep has come stands in a row of its own, and rises with what it removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.erasures import ANSWERS_TO_EVENTS, ANSWERS_TO_MESSAGES, TELLING, emptied

_ACCOUNTS: Final = text(
    "SELECT id, retention_days FROM accounts WHERE retention_days IS NOT NULL ORDER BY id"
)
_LOCK: Final = text(
    """
    INSERT INTO retention_progress (account_id) VALUES (:account_id)
    ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id
    RETURNING message_id, position
    """
)
_OLD_MESSAGES: Final = text(
    """
    SELECT id, accepted_at FROM messages
    WHERE account_id = :account_id AND id > :after ORDER BY id LIMIT :limit
    """
)
_EMPTY_MESSAGES: Final = text(
    """
    UPDATE messages SET content = '{"type": "expired"}', reactions = '{}', client_reference = NULL,
      author_name = CASE WHEN direction = 'inbound' THEN NULL ELSE author_name END
    WHERE account_id = :account_id AND id > :after AND id <= :until
      AND content ->> 'type' <> 'erased'
    """
)
_MESSAGES_DONE: Final = text(
    "UPDATE retention_progress SET message_id = :until WHERE account_id = :account_id"
)
_OLD_EVENTS: Final = text(
    """
    SELECT id, position, created_at FROM events
    WHERE account_id = :account_id AND position > :after ORDER BY position LIMIT :limit
    """
)
_EMPTY_EVENTS: Final = text(
    f"UPDATE events SET data = {emptied('expired')} WHERE account_id = :account_id "  # noqa: S608 - constants
    f"AND position > :after AND position <= :until AND {TELLING}"
)
_EVENTS_DONE: Final = text(
    "UPDATE retention_progress SET position = :until WHERE account_id = :account_id"
)
_LETTERS: Final = text(
    """
    DELETE FROM dead_letters WHERE id IN (
      SELECT id FROM dead_letters WHERE account_id = :account_id AND at < :before LIMIT :limit)
    """
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How many days an account keeps what people said."""

    account_id: str
    days: int


async def find_retentions(connection: AsyncConnection) -> list[Kept]:
    """Return the accounts that do not keep everything for ever."""
    return [Kept(row.id, row.retention_days) for row in await connection.execute(_ACCOUNTS)]


async def empty_old_messages(
    connection: AsyncConnection, account_id: str, *, before: datetime, limit: int
) -> int:
    """Empty some messages accepted before a moment; return how many there were."""
    progress = (await connection.execute(_LOCK, {"account_id": account_id})).one()
    after = progress.message_id or ""
    rows = (
        await connection.execute(
            _OLD_MESSAGES, {"account_id": account_id, "after": after, "limit": limit}
        )
    ).all()
    due = _first([(row.id, row.accepted_at) for row in rows], before)
    if not due:
        return 0
    bounds = {"account_id": account_id, "after": after, "until": due[-1]}
    await connection.execute(_EMPTY_MESSAGES, bounds)
    await connection.execute(ANSWERS_TO_MESSAGES, {"ids": due})
    await connection.execute(_MESSAGES_DONE, {"account_id": account_id, "until": due[-1]})
    return len(due)


async def empty_old_events(
    connection: AsyncConnection, account_id: str, *, before: datetime, limit: int
) -> int:
    """Empty some events written before a moment; return how many there were."""
    progress = (await connection.execute(_LOCK, {"account_id": account_id})).one()
    after = progress.position
    rows = (
        await connection.execute(
            _OLD_EVENTS, {"account_id": account_id, "after": after, "limit": limit}
        )
    ).all()
    due = _first([(row.id, row.created_at) for row in rows], before)
    if not due:
        return 0
    until = rows[len(due) - 1].position
    bounds = {"account_id": account_id, "after": after, "until": until}
    await connection.execute(_EMPTY_EVENTS, bounds)
    await connection.execute(ANSWERS_TO_EVENTS, {"ids": due})
    await connection.execute(_EVENTS_DONE, {"account_id": account_id, "until": until})
    return len(due)


async def delete_old_letters(
    connection: AsyncConnection, account_id: str, *, before: datetime, limit: int
) -> int:
    """Delete some dead letters written before a moment; return how many there were."""
    parameters = {"account_id": account_id, "before": before, "limit": limit}
    return (await connection.execute(_LETTERS, parameters)).rowcount


def _first(rows: Sequence[tuple[str, datetime]], before: datetime) -> list[str]:
    """Return the ids up to the first that is not past its time."""
    due = []
    for row_id, at in rows:
        if at >= before:
            break
        due.append(row_id)
    return due
