"""Messages: reading, inserting and changing their rows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Row, bindparam, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among, among_given
from gateway.db.rows import as_json
from gateway.db.statements import with_rows
from gateway.db.tables import deliveries, messages
from gateway.domain.message import AuthorKind, Direction, MessageStatus


@dataclass(slots=True, kw_only=True)
class Message:
    """A message's row."""

    account_id: str
    id: str
    channel_id: str
    conversation_id: str
    sequence: int
    direction: Direction
    author_kind: AuthorKind
    content: dict[str, Any]
    status: MessageStatus
    occurred_at: datetime
    accepted_at: datetime
    enquiry_id: str | None = None
    author_id: str | None = None
    author_name: str | None = None
    error: dict[str, Any] | None = None
    client_reference: str | None = None
    tag: str | None = None
    persona_id: str | None = None
    reply_to: str | None = None
    comment_id: str | None = None
    take_thread: bool = False
    display_name: str | None = None
    automation_cause: str | None = None
    possibly_duplicate: bool = False
    late: bool = False
    source_message_id: str | None = None
    platform_at: datetime | None = None
    reactions: dict[str, Any] = field(default_factory=dict)
    edited_at: datetime | None = None
    unsent_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None


_MAY_HAVE_LEFT: Final = (
    MessageStatus.ACCEPTED,
    MessageStatus.SENDING,
    MessageStatus.UNCERTAIN,
    MessageStatus.FAILED,
)
_COLUMNS: Final = [f.name for f in fields(Message)]
_TYPES: Final = {
    "sequence": "bigint",
    "content": "jsonb",
    "error": "jsonb",
    "reactions": "jsonb",
    "take_thread": "boolean",
    "possibly_duplicate": "boolean",
    "late": "boolean",
}
_SELECT: Final = select(*(messages.c[name] for name in _COLUMNS))
_BY_ID: Final = _SELECT.where(among_given(messages.c.id, "ids"))
_OF_ACCOUNT: Final = _BY_ID.where(messages.c.account_id == bindparam("account_id"))
_NAMES: Final = ", ".join(_COLUMNS)
_RECORD: Final = ", ".join(
    f"{name} {_TYPES.get(name, 'timestamptz' if name.endswith('_at') else 'text')}"
    for name in _COLUMNS
)
_INSERT: Final = text(
    f"INSERT INTO messages ({_NAMES}) SELECT {_NAMES} "  # noqa: S608 - constant column names
    f"FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({_RECORD})"
)


_OF_MESSAGE: Final = ", ".join(f"m.{name}" for name in _COLUMNS)
# Both directions are named, so that the index answers.
_BY_SOURCE: Final = with_rows(
    f"""
    SELECT {_OF_MESSAGE}
    FROM unnest(CAST(:channel_ids AS text[]), CAST(:source_ids AS text[]))
      AS r(channel_id, source_message_id)
    JOIN messages m ON m.channel_id = r.channel_id AND m.direction IN ('inbound', 'outbound')
      AND m.source_message_id = r.source_message_id
    """,  # noqa: S608 - constant column names
    _COLUMNS,
)
_BY_ORIGIN: Final = with_rows(
    f"""
    SELECT r.n, {_OF_MESSAGE}
    FROM unnest(CAST(:kinds AS text[]), CAST(:source_ids AS text[]), CAST(:directions AS text[]),
                CAST(:message_ids AS text[]))
      WITH ORDINALITY AS r(kind, source_id, direction, message_id, n)
    JOIN channels c ON c.kind = r.kind AND c.source_id = r.source_id
    JOIN messages m ON m.channel_id = c.id AND m.direction = r.direction
      AND m.source_message_id = r.message_id
    """,  # noqa: S608 - constant column names
    ["n", *_COLUMNS],
)
_ARRIVED: Final = with_rows(
    f"""
    SELECT {_OF_MESSAGE}
    FROM unnest(CAST(:account_ids AS text[]), CAST(:ids AS text[]),
                CAST(:moments AS timestamptz[])) AS r(account_id, conversation_id, moment)
    JOIN messages m ON m.account_id = r.account_id AND m.conversation_id = r.conversation_id
      AND m.direction = 'outbound' AND m.status IN ('sent', 'delivered')
      AND m.platform_at <= COALESCE(r.moment, 'infinity')
    """,  # noqa: S608 - constant column names
    _COLUMNS,
)


async def insert_messages(connection: AsyncConnection, rows: Sequence[Message]) -> None:
    """Insert messages.

    Raises:
        sqlalchemy.exc.IntegrityError: One has the source id or the automation cause of another.
    """
    if rows:
        await connection.execute(_INSERT, {"rows": as_json(rows)})


async def get_message(
    connection: AsyncConnection, account_id: str, message_id: str
) -> Message | None:
    """Return a message of an account."""
    statement = _SELECT.where(messages.c.account_id == account_id, messages.c.id == message_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _of(row)


async def find_messages(
    connection: AsyncConnection, account_id: str, message_ids: Iterable[str]
) -> dict[str, Message]:
    """Return those messages of an account that exist, by id."""
    return _by_id(
        await connection.execute(_OF_ACCOUNT, {"account_id": account_id, "ids": list(message_ids)})
    )


async def find_messages_by_id(
    connection: AsyncConnection, message_ids: Iterable[str]
) -> dict[str, Message]:
    """Return messages by id, for workers that took the ids from rows of their own."""
    return _by_id(await connection.execute(_BY_ID, {"ids": list(message_ids)}))


async def find_by_source(
    connection: AsyncConnection, named: Collection[tuple[str, str]]
) -> list[Message]:
    """Return messages of either direction, named by their channel and the platform's id of them."""
    if not named:
        return []
    rows = await connection.execute(
        _BY_SOURCE,
        {
            "channel_ids": [channel_id for channel_id, _ in named],
            "source_ids": [source_id for _, source_id in named],
        },
    )
    return [_of(row) for row in rows]


async def find_by_origin(
    connection: AsyncConnection, origins: Collection[tuple[str, str, str, str]]
) -> dict[tuple[str, str, str, str], Message]:
    """Return messages by kind and id of their source, direction, and the source's id of them."""
    wanted = list(origins)
    kinds, source_ids, directions, message_ids = zip(*wanted, strict=True)
    rows = await connection.execute(
        _BY_ORIGIN,
        {
            "kinds": list(kinds),
            "source_ids": list(source_ids),
            "directions": list(directions),
            "message_ids": list(message_ids),
        },
    )
    return {wanted[row[0] - 1]: _of(row[1:]) for row in rows}


async def find_arrived(
    connection: AsyncConnection, conversations: Collection[tuple[str, str, datetime | None]]
) -> list[Message]:
    """Return what was sent in conversations up to a moment, and is not read as far as is known.

    Each is named by its account and id. The moment is compared with the platform's time of a
    message; without one, all count.
    """
    if not conversations:
        return []
    accounts, ids, moments = zip(*conversations, strict=True)
    rows = await connection.execute(
        _ARRIVED, {"account_ids": list(accounts), "ids": list(ids), "moments": list(moments)}
    )
    return [_of(row) for row in rows]


async def find_conversations_of(
    connection: AsyncConnection, channel_id: str, names: Iterable[str]
) -> set[str]:
    """Return the conversations of a channel's messages, named by our ids or the source's."""
    wanted = list(names)
    statement = select(messages.c.conversation_id).where(
        messages.c.channel_id == channel_id,
        among(messages.c.direction, Direction),
        or_(among(messages.c.id, wanted), among(messages.c.source_message_id, wanted)),
    )
    return set((await connection.execute(statement)).scalars())


async def find_causes(
    connection: AsyncConnection, account_id: str, causes: Collection[str]
) -> set[str]:
    """Return those of these causes that have had their automatic message."""
    statement = select(messages.c.automation_cause).where(
        messages.c.account_id == account_id,
        among(messages.c.automation_cause, causes),
        # So that the index of automatic messages answers.
        messages.c.automation_cause.is_not(None),
    )
    return set((await connection.execute(statement)).scalars())


async def find_unsent_automatic(
    connection: AsyncConnection, account_id: str, conversation_id: str
) -> list[Message]:
    """Return what shall be said automatically in a conversation and has not left yet, in order."""
    statement = _SELECT.where(
        messages.c.account_id == account_id,
        messages.c.conversation_id == conversation_id,
        messages.c.automation_cause.is_not(None),
        # A literal: a plan for any value could not use the index of those in this state.
        text("messages.status = 'accepted'"),
    ).order_by(messages.c.sequence)
    return [_of(row) for row in await connection.execute(statement)]


async def find_called_without_id(
    connection: AsyncConnection, account_id: str, conversation_id: str
) -> list[Message]:
    """Return what may have left in a conversation without the platform's id of it, in order."""
    calls = select(deliveries.c.id).where(
        deliveries.c.message_id == messages.c.id, deliveries.c.attempt > 0
    )
    statement = _SELECT.where(
        messages.c.account_id == account_id,
        messages.c.conversation_id == conversation_id,
        messages.c.direction == Direction.OUTBOUND,
        messages.c.source_message_id.is_(None),
        messages.c.status.in_(_MAY_HAVE_LEFT),
        calls.exists(),
    ).order_by(messages.c.sequence)
    return [_of(row) for row in await connection.execute(statement)]


async def find_unsent(
    connection: AsyncConnection, account_id: str, conversation_id: str
) -> list[Message]:
    """Return what was accepted in a conversation and has not left yet, in order."""
    statement = _SELECT.where(
        messages.c.account_id == account_id,
        messages.c.conversation_id == conversation_id,
        messages.c.status == MessageStatus.ACCEPTED,
    ).order_by(messages.c.sequence)
    return [_of(row) for row in await connection.execute(statement)]


async def list_messages(
    connection: AsyncConnection,
    account_id: str,
    conversation_id: str,
    *,
    order_by: Literal["sequence", "occurred_at"],
    descending: bool,
    after: tuple[Any, ...] | None,
    limit: int,
) -> list[Message]:
    """Return messages of a conversation from a place in their order.

    The place is (sequence,), or (occurred_at, sequence).
    """
    order: list[ColumnElement[Any]] = [messages.c.sequence]
    if order_by == "occurred_at":
        order.insert(0, messages.c.occurred_at)
    statement = _SELECT.where(
        messages.c.account_id == account_id, messages.c.conversation_id == conversation_id
    )
    if after is not None:
        place = tuple_(*order)
        statement = statement.where(place < after if descending else place > after)
    directed = [column.desc() if descending else column.asc() for column in order]
    rows = await connection.execute(statement.order_by(*directed).limit(limit))
    return [_of(row) for row in rows]


async def change_message(
    connection: AsyncConnection,
    message: Message,
    **changes: Any,  # noqa: ANN401 - column values
) -> None:
    """Write new values into a message's row and into the object; its conversation is locked."""
    statement = (
        update(messages)
        .where(messages.c.account_id == message.account_id, messages.c.id == message.id)
        .values(**changes)
    )
    await connection.execute(statement)
    for name, value in changes.items():
        setattr(message, name, value)


def _by_id(rows: Iterable[Row[Any]]) -> dict[str, Message]:
    found = [_of(row) for row in rows]
    return {message.id: message for message in found}


def _of(row: Sequence[Any]) -> Message:
    # By place: SQLAlchemy's mappings look every name up again for every row.
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    values["direction"] = Direction(values["direction"])
    values["author_kind"] = AuthorKind(values["author_kind"])
    values["status"] = MessageStatus(values["status"])
    return Message(**values)
