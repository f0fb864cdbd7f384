"""Conversations under their lock: who holds one may change it and number what happens in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.rows import counted, rows_of
from gateway.db.statements import with_rows

if TYPE_CHECKING:
    from gateway.db.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Conversation:
    """A conversation's row, locked by the transaction that holds this object.

    Assigning to a field changes the row when the transaction commits.
    """

    account_id: str
    id: str
    channel_id: str
    contact_id: str
    inbound_partition: int
    next_seq: int = 1
    enquiry_id: str | None = None
    engaged_agent_id: str | None = None
    last_inbound_at: datetime | None = None
    last_action_at: datetime | None = None
    last_message_at: datetime | None = None
    last_outbound_at: datetime | None = None
    # When it is next looked at whether the messaging window will close.
    window_notice_at: datetime | None = None
    delivered_watermark: datetime | None = None
    read_watermark: datetime | None = None
    thread_owner: str = "idle"
    thread_owner_since: datetime | None = None
    # When the latest automatic messages were accepted; replaced, never changed in place.
    automatic_at: Sequence[datetime] = ()
    automation_paused_at: datetime | None = None
    # Where it goes on, once its contact turned out to be another one.
    continued_in: str | None = None
    created_at: datetime | None = None
    _saved: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    def take_sequence(self) -> int:
        """Take the next number; it orders the conversation's events, messages and lane."""
        taken = self.next_seq
        self.next_seq += 1
        return taken

    def state(self) -> tuple[Any, ...]:
        """Return the fields that may change."""
        return tuple(getattr(self, name) for name in MUTABLE)

    def remember(self) -> None:
        """Take the present state as what the database has."""
        self._saved = self.state()

    @property
    def changed(self) -> bool:
        """True when the database has another state."""
        return self._saved != self.state()


MUTABLE: Final = (
    "next_seq",
    "enquiry_id",
    "engaged_agent_id",
    "last_inbound_at",
    "last_action_at",
    "last_message_at",
    "last_outbound_at",
    "window_notice_at",
    "delivered_watermark",
    "read_watermark",
    "thread_owner",
    "thread_owner_since",
    "automatic_at",
    "automation_paused_at",
)
_COLUMNS: Final = [f.name for f in fields(Conversation) if not f.name.startswith("_")]

_NAMED = (
    f"SELECT {', '.join(_COLUMNS)} FROM conversations "  # noqa: S608 - constant column names
    "WHERE id = ANY(:ids) AND (CAST(:account_id AS text) IS NULL OR account_id = :account_id) "
    "ORDER BY id FOR UPDATE"
)
_LOCK = with_rows(_NAMED, _COLUMNS)
_LOCK_FREE = with_rows(f"{_NAMED} SKIP LOCKED", _COLUMNS)
_SAVED = """
    account_id text, id text, next_seq bigint, enquiry_id text, engaged_agent_id text,
    last_inbound_at timestamptz,
    last_action_at timestamptz, last_message_at timestamptz, last_outbound_at timestamptz,
    window_notice_at timestamptz,
    delivered_watermark timestamptz, read_watermark timestamptz, thread_owner text,
    thread_owner_since timestamptz, automatic_at timestamptz[],
    automation_paused_at timestamptz
"""
_SAVE = text(
    f"""
    UPDATE conversations c SET
      next_seq = r.next_seq, enquiry_id = r.enquiry_id,
      engaged_agent_id = r.engaged_agent_id, last_inbound_at = r.last_inbound_at,
      last_action_at = r.last_action_at, last_message_at = r.last_message_at,
      last_outbound_at = r.last_outbound_at, window_notice_at = r.window_notice_at,
      delivered_watermark = r.delivered_watermark,
      read_watermark = r.read_watermark, thread_owner = r.thread_owner,
      thread_owner_since = r.thread_owner_since, automatic_at = r.automatic_at,
      automation_paused_at = r.automation_paused_at
    FROM {rows_of(_SAVED)}
    WHERE c.account_id = r.account_id AND c.id = r.id
    """  # noqa: S608 - constant column names
)


async def lock_conversations(
    work: "UnitOfWork",
    conversation_ids: Iterable[str],
    *,
    account_id: str | None,
    skip_locked: bool = False,
) -> dict[str, Conversation]:
    """Lock conversations in the order of their ids and return those that exist, by id.

    `account_id` None is for workers that took the ids from rows of their own; whoever acts for a
    caller names the caller's account. A conversation that this transaction holds already is
    returned as it stands in memory. `skip_locked` leaves out those that somebody else holds now.
    """
    wanted = sorted(set(conversation_ids) - work.conversations.keys())
    if wanted:
        lock = _LOCK_FREE if skip_locked else _LOCK
        rows = await work.connection.execute(lock, {"ids": wanted, "account_id": account_id})
        for row in rows:
            conversation = Conversation(*row)
            conversation.remember()
            work.conversations[conversation.id] = conversation
    return {
        conversation_id: work.conversations[conversation_id]
        for conversation_id in conversation_ids
        if conversation_id in work.conversations
        and account_id in (None, work.conversations[conversation_id].account_id)
    }


async def save_conversations(
    connection: AsyncConnection, conversations: Iterable[Conversation]
) -> None:
    """Write back the conversations that changed."""
    changed = [conversation for conversation in conversations if conversation.changed]
    if not changed:
        return
    await connection.execute(_SAVE, counted(changed))
    for conversation in changed:
        conversation.remember()
