"""What is known of media; the content lies in the media store."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.tables import media


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A row of `media`; `sha256` in hexadecimal, `path` for the store alone.

    `contact_id` is who sent it, or to whom alone it was sent; none where an account uploaded it.
    """

    account_id: str
    id: str
    mime_type: str
    name: str | None
    size: int
    sha256: str
    path: str
    created_at: datetime
    contact_id: str | None = None


_SELECT: Final = select(*(media.c[field.name] for field in fields(Media)))


async def insert_media(connection: AsyncConnection, row: Media) -> None:
    """Insert what is known of media."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    await connection.execute(insert(media).values(**values))


async def get_media(connection: AsyncConnection, account_id: str, media_id: str) -> Media | None:
    """Return what is known of an account's media."""
    statement = _SELECT.where(media.c.account_id == account_id, media.c.id == media_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else Media(**row)


async def take_old_media(
    connection: AsyncConnection, account_id: str, *, before: datetime, limit: int
) -> list[Media]:
    """Delete the rows of some media made before a moment, the oldest first, and return them."""
    oldest = (
        select(media.c.id)
        .where(media.c.account_id == account_id)
        .order_by(media.c.id)
        .limit(limit)
        .scalar_subquery()
    )
    statement = (
        delete(media)
        .where(media.c.account_id == account_id, media.c.id.in_(oldest))
        .where(media.c.created_at < before)
        .returning(*(media.c[field.name] for field in fields(Media)))
    )
    return [Media(**row) for row in (await connection.execute(statement)).mappings()]


async def take_media(
    connection: AsyncConnection, account_id: str, media_ids: Iterable[str]
) -> list[Media]:
    """Delete the rows of media that belong to one contact alone, and return them."""
    statement = (
        delete(media)
        .where(media.c.account_id == account_id, among(media.c.id, media_ids))
        .where(media.c.contact_id.is_not(None))
        .returning(*(media.c[field.name] for field in fields(Media)))
    )
    return [Media(**row) for row in (await connection.execute(statement)).mappings()]


async def take_media_of_contact(
    connection: AsyncConnection, account_id: str, contact_id: str
) -> list[Media]:
    """Delete the rows of what a contact sent, or of what was sent to it alone; return them."""
    statement = (
        delete(media)
        .where(media.c.account_id == account_id, media.c.contact_id == contact_id)
        .returning(*(media.c[field.name] for field in fields(Media)))
    )
    return [Media(**row) for row in (await connection.execute(statement)).mappings()]


async def find_media_by_id(connection: AsyncConnection, media_id: str) -> Media | None:
    """Return what is known of media, whosever it is, for who checks next who may have it."""
    row = (await connection.execute(_SELECT.where(media.c.id == media_id))).mappings().one_or_none()
    return None if row is None else Media(**row)
