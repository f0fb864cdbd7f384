"""Conversations as the REST API reads them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, case, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.contacts import find_person
from gateway.db.tables import channels, contacts, conversations
from gateway.domain.channel import ChannelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationView:
    """A conversation with what is shown of its contact and needed of its channel."""

    account_id: str
    id: str
    channel_id: str
    channel_kind: ChannelKind
    human_agent: bool
    contact_id: str
    source_contact_id: str
    contact_name: str | None
    contact_first_name: str | None
    contact_last_name: str | None
    contact_avatar_url: str | None
    contact_blocked: bool
    enquiry_id: str | None
    last_action_at: datetime | None
    last_message_at: datetime | None
    thread_owner: str
    thread_owner_since: datetime | None
    continued_in: str | None
    created_at: datetime

    @property
    def active_at(self) -> datetime:
        """When something was last said, or it was made."""
        return self.last_message_at or self.created_at


_ACTIVE_AT: Final = func.coalesce(conversations.c.last_message_at, conversations.c.created_at)
# Whom the contact turned out to be, if so.
_PRESENT: Final = contacts.alias("present")


def _now(name: str) -> ColumnElement[Any]:
    """Return what is shown of the contact that it is now."""
    return case((_PRESENT.c.id.is_not(None), _PRESENT.c[name]), else_=contacts.c[name])


_SELECT: Final = (
    select(
        conversations.c.account_id,
        conversations.c.id,
        conversations.c.channel_id,
        channels.c.kind.label("channel_kind"),
        channels.c.human_agent,
        _now("id").label("contact_id"),
        _now("source_contact_id").label("source_contact_id"),
        _now("name").label("contact_name"),
        _now("first_name").label("contact_first_name"),
        _now("last_name").label("contact_last_name"),
        _now("avatar_url").label("contact_avatar_url"),
        _now("blocked_at").is_not(None).label("contact_blocked"),
        conversations.c.enquiry_id,
        conversations.c.last_action_at,
        conversations.c.last_message_at,
        conversations.c.thread_owner,
        conversations.c.thread_owner_since,
        conversations.c.continued_in,
        conversations.c.created_at,
    )
    .join(
        channels,
        (channels.c.account_id == conversations.c.account_id)
        & (channels.c.id == conversations.c.channel_id),
    )
    .join(
        contacts,
        (contacts.c.account_id == conversations.c.account_id)
        & (contacts.c.id == conversations.c.contact_id),
    )
    .outerjoin(
        _PRESENT,
        (_PRESENT.c.account_id == contacts.c.account_id)
        & (_PRESENT.c.id == contacts.c.merged_into),
    )
)


async def get_conversation(
    connection: AsyncConnection, account_id: str, conversation_id: str
) -> ConversationView | None:
    """Return a conversation of an account."""
    statement = _SELECT.where(
        conversations.c.account_id == account_id, conversations.c.id == conversation_id
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else _view(row)


async def find_conversation(
    connection: AsyncConnection, account_id: str, *, channel_id: str, contact_id: str
) -> str | None:
    """Return the conversation with a contact on a channel."""
    statement = select(conversations.c.id).where(
        conversations.c.account_id == account_id,
        conversations.c.channel_id == channel_id,
        conversations.c.contact_id == contact_id,
    )
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def find_conversations_with(
    connection: AsyncConnection, account_id: str, contact_id: str
) -> dict[str, str]:
    """Return the conversations with a contact and with those that turned out to be it.

    By the contact with whom each began.
    """
    person = await find_person(connection, account_id, contact_id)
    statement = (
        select(conversations.c.contact_id, conversations.c.id)
        .where(conversations.c.account_id == account_id)
        .where(among(conversations.c.contact_id, person))
    )
    rows = await connection.execute(statement)
    return {row.contact_id: row.id for row in rows}


async def list_conversations(
    connection: AsyncConnection,
    account_id: str,
    *,
    channel_id: str | None,
    contact_id: str | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[ConversationView]:
    """Return conversations of an account, those with the newest messages first."""
    statement = _SELECT.where(conversations.c.account_id == account_id)
    if channel_id is not None:
        statement = statement.where(conversations.c.channel_id == channel_id)
    if contact_id is not None:
        person = await find_person(connection, account_id, contact_id)
        statement = statement.where(among(conversations.c.contact_id, person))
    if before is not None:
        statement = statement.where(tuple_(_ACTIVE_AT, conversations.c.id) < before)
    statement = statement.order_by(_ACTIVE_AT.desc(), conversations.c.id.desc()).limit(limit)
    return [_view(row) for row in (await connection.execute(statement)).mappings()]


def _view(row: RowMapping) -> ConversationView:
    values = dict(row)
    values["channel_kind"] = ChannelKind(values["channel_kind"])
    return ConversationView(**values)
