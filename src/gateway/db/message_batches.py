"""Many messages' rows changed at once: what costs a statement each elsewhere costs one here."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.messages import Message
from gateway.db.rows import counted, rows_of
from gateway.db.statements import with_rows

_TYPES: Final = {
    "content": "jsonb",
    "error": "jsonb",
    "possibly_duplicate": "boolean",
    "reactions": "jsonb",
    "sequence": "bigint",
    "source_message_id": "text",
    "status": "text",
}

_TAKE_MARKS: Final = with_rows(
    f"""
    DELETE FROM pending_marks p
    USING {rows_of("account_id text, channel_id text, source_message_id text")}
    WHERE p.account_id = r.account_id AND p.channel_id = r.channel_id
      AND p.source_message_id = r.source_message_id
    RETURNING p.channel_id, p.source_message_id, p.kind, p.at
    """,  # noqa: S608 - constant column names
    ["channel_id", "source_message_id", "kind", "at"],
)


async def change_messages(
    connection: AsyncConnection, changes: Sequence[tuple[Message, dict[str, Any]]]
) -> None:
    """Write new values into messages' rows and objects; their conversations are locked."""
    alike: dict[tuple[str, ...], list[tuple[Message, dict[str, Any]]]] = {}
    for message, values in changes:
        alike.setdefault(tuple(sorted(values)), []).append((message, values))
    for names, group in alike.items():
        rows = [
            {"account_id": message.account_id, "id": message.id} | values
            for message, values in group
        ]
        await connection.execute(_update(names), counted(rows))
    for message, values in changes:
        for name, value in values.items():
            setattr(message, name, value)


async def take_all_marks(
    connection: AsyncConnection, messages: Collection[Message]
) -> dict[str, dict[str, datetime]]:
    """Return and forget the marks that came before their messages were sent.

    They are by message id and kind, and name messages by the source's ids of them, or by ours.
    """
    known = {
        (message.channel_id, name): message
        for message in messages
        for name in (message.id, message.source_message_id)
        if name is not None
    }
    if not known:
        return {}
    rows = [
        {
            "account_id": message.account_id,
            "channel_id": channel_id,
            "source_message_id": name,
        }
        for (channel_id, name), message in known.items()
    ]
    marks: dict[str, dict[str, datetime]] = {}
    for row in await connection.execute(_TAKE_MARKS, counted(rows)):
        message = known[row.channel_id, row.source_message_id]
        marks.setdefault(message.id, {})[row.kind] = row.at
    return marks


@cache
def _update(names: tuple[str, ...]) -> TextClause:
    types = {n: _TYPES.get(n, "timestamptz" if n.endswith("_at") else None) for n in names}
    unknown = [name for name, kind in types.items() if kind is None]
    assert not unknown, f"columns that batches do not change: {unknown}"
    record = ", ".join(f"{name} {kind}" for name, kind in types.items())
    values = ", ".join(f"{name} = r.{name}" for name in names)
    return text(
        f"UPDATE messages m SET {values} "  # noqa: S608 - names of columns that stand above
        f"FROM {rows_of(f'account_id text, id text, {record}')} "
        "WHERE m.account_id = r.account_id AND m.id = r.id"
    )
