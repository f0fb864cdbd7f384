"""Contacts as the REST API reads and changes them."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.search import matches
from gateway.db.statements import with_rows
from gateway.db.tables import contacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact's row."""

    account_id: str
    id: str
    channel_id: str
    source_contact_id: str
    name: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    avatar_url: str | None
    locale: str | None
    attributes: dict[str, Any]
    blocked_at: datetime | None
    erased_at: datetime | None
    merged_into: str | None
    version: int
    created_at: datetime

    @property
    def blocked(self) -> bool:
        """True while nothing is sent to it and nothing that it writes opens an enquiry."""
        return self.blocked_at is not None


@dataclass(frozen=True, slots=True)
class Addressee:
    """What has to be known of a contact before something is said to it automatically."""

    name: str | None
    blocked: bool


# The contacts `c` of conversations `v`, each the one that it turned out to be. One by one, which
# the limits see to: joined, a database that has not counted its rows reads all of an account for
# each.
OF_CONVERSATIONS: Final = """
    FROM conversations v
    CROSS JOIN LATERAL (
      SELECT coalesce(merged_into, id) AS id FROM contacts
      WHERE account_id = v.account_id AND id = v.contact_id
      LIMIT 1) AS o
    CROSS JOIN LATERAL (
      SELECT * FROM contacts
      WHERE account_id = v.account_id AND id = o.id
      LIMIT 1) AS c
    WHERE v.id = ANY(:ids)
    """
_ADDRESSEES: Final = with_rows(
    """
    SELECT v.id, c.blocked_at IS NOT NULL AS blocked,
           coalesce(nullif(c.name, ''), nullif(concat_ws(' ', c.first_name, c.last_name), ''))
             AS name
    """
    + OF_CONVERSATIONS,
    ["id", "blocked", "name"],
)
_SELECT: Final = select(*(contacts.c[field.name] for field in fields(Contact)))


async def get_contact(
    connection: AsyncConnection, account_id: str, contact_id: str, *, lock: bool = False
) -> Contact | None:
    """Return a contact of an account, erased or not, or the one that it turned out to be."""
    contact = await _get(connection, account_id, contact_id, lock=lock)
    if contact is None or contact.merged_into is None:
        return contact
    return await _get(connection, account_id, contact.merged_into, lock=lock)


async def _get(
    connection: AsyncConnection, account_id: str, contact_id: str, *, lock: bool
) -> Contact | None:
    statement = _SELECT.where(contacts.c.account_id == account_id, contacts.c.id == contact_id)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Contact(**row)


async def find_person(connection: AsyncConnection, account_id: str, contact_id: str) -> list[str]:
    """Return the ids of a contact and of those that turned out to be it."""
    merged = select(contacts.c.id).where(
        contacts.c.account_id == account_id, contacts.c.merged_into == contact_id
    )
    return [contact_id, *(await connection.execute(merged)).scalars()]


async def lock_person(
    connection: AsyncConnection, account_id: str, contact_id: str
) -> list[Contact]:
    """Return a contact and those that turned out to be it, under lock."""
    person = await find_person(connection, account_id, contact_id)
    statement = (
        _SELECT.where(contacts.c.account_id == account_id, among(contacts.c.id, person))
        .order_by(contacts.c.id)
        .with_for_update()
    )
    return [Contact(**row) for row in (await connection.execute(statement)).mappings()]


async def find_addressees(
    connection: AsyncConnection, conversation_ids: Collection[str]
) -> dict[str, Addressee]:
    """Return the contacts of conversations, by conversation."""
    rows = await connection.execute(_ADDRESSEES, {"ids": list(conversation_ids)})
    return {row.id: Addressee(name=row.name, blocked=row.blocked) for row in rows}


async def list_contacts(
    connection: AsyncConnection,
    account_id: str,
    *,
    channel_id: str | None,
    search: str | None,
    blocked: bool | None,
    before: str | None,
    limit: int,
) -> list[Contact]:
    """Return contacts of an account, the newest first, older than `before`."""
    statement = _SELECT.where(contacts.c.account_id == account_id, contacts.c.erased_at.is_(None))
    statement = statement.where(contacts.c.merged_into.is_(None))
    if channel_id is not None:
        statement = statement.where(contacts.c.channel_id == channel_id)
    if blocked is not None:
        statement = statement.where(contacts.c.blocked_at.is_not(None) == blocked)
    if before is not None:
        statement = statement.where(contacts.c.id < before)
    if search is not None:
        searched = (
            contacts.c.name,
            contacts.c.first_name,
            contacts.c.last_name,
            contacts.c.email,
            contacts.c.phone,
        )
        statement = statement.where(
            or_(
                *(matches(each, search) for each in searched),
                contacts.c.source_contact_id == search,
            )
        )
    rows = await connection.execute(statement.order_by(contacts.c.id.desc()).limit(limit))
    return [Contact(**row) for row in rows.mappings()]


async def note_profile(connection: AsyncConnection, contact: Contact, *, at: datetime) -> None:
    """Write down that the platform was asked what a contact is called; raises no version."""
    await connection.execute(
        update(contacts)
        .where(contacts.c.account_id == contact.account_id, contacts.c.id == contact.id)
        .values(profile_fetched_at=at)
    )


async def change_contact(
    connection: AsyncConnection,
    contact: Contact,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> Contact:
    """Write new values into a contact's row, raise its version, and return it as it is now."""
    statement = (
        update(contacts)
        .where(contacts.c.account_id == contact.account_id, contacts.c.id == contact.id)
        .values(**changes, version=contacts.c.version + 1, updated_at=now)
        .returning(*(contacts.c[field.name] for field in fields(Contact)))
    )
    return Contact(**(await connection.execute(statement)).mappings().one())
