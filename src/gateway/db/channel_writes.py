"""Channels as the REST API makes, lists and changes them."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.arrays import among
from gateway.db.channels import Channel, channel_of
from gateway.db.search import matches
from gateway.db.tables import channels
from gateway.domain.channel import ChannelKind, ChannelStatus

_SELECT: Final = select(*(channels.c[field.name] for field in fields(Channel)))


def secret_row(channel_id: str, column: str) -> str:
    """Return the associated data of one of a channel's secrets."""
    return f"channels/{channel_id}/{column}"


async def insert_channel(connection: AsyncConnection, channel: Channel, *, now: datetime) -> None:
    """Insert a channel.

    Raises:
        sqlalchemy.exc.IntegrityError: Another channel holds its source.
    """
    values = {field.name: getattr(channel, field.name) for field in fields(channel)}
    await connection.execute(insert(channels).values(**values, updated_at=now))


async def change_channel(
    connection: AsyncConnection,
    channel: Channel,
    *,
    now: datetime,
    **changes: Any,  # noqa: ANN401 - column values
) -> Channel:
    """Write new values into a channel's row, raise its version, and return it as it is now.

    Raises:
        sqlalchemy.exc.IntegrityError: It would hold a source that another channel holds.
    """
    statement = (
        update(channels)
        .where(channels.c.account_id == channel.account_id, channels.c.id == channel.id)
        .values(**changes, version=channels.c.version + 1, updated_at=now)
        .returning(*(channels.c[field.name] for field in fields(Channel)))
    )
    return channel_of((await connection.execute(statement)).mappings().one())


async def list_channels(
    connection: AsyncConnection,
    account_id: str,
    *,
    statuses: Sequence[str] = (),
    kind: str | None,
    search: str | None,
    before: str | None,
    limit: int,
) -> list[Channel]:
    """Return channels of an account, the newest first, older than `before`.

    Without `statuses`, all that are not deleted.
    """
    conditions: list[ColumnElement[bool]] = [channels.c.account_id == account_id]
    if statuses:
        conditions.append(channels.c.status.in_(statuses))
    else:
        conditions.append(channels.c.status != ChannelStatus.DELETED)
    if kind is not None:
        conditions.append(channels.c.kind == kind)
    if before is not None:
        conditions.append(channels.c.id < before)
    if search is not None:
        texts = (channels.c.name, channels.c.page_name, channels.c.source_name)
        conditions.append(
            or_(*(matches(text, search) for text in texts), channels.c.source_id == search)
        )
    statement = _SELECT.where(*conditions).order_by(channels.c.id.desc()).limit(limit)
    return [channel_of(row) for row in (await connection.execute(statement)).mappings()]


async def find_holder(connection: AsyncConnection, kind: ChannelKind, source_id: str) -> str | None:
    """Return the id of the channel that holds a source, whosever it is."""
    statement = select(channels.c.id).where(
        channels.c.kind == kind, channels.c.source_id == source_id, channels.c.holds_source
    )
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def find_holders(
    connection: AsyncConnection, kind: ChannelKind, source_ids: Iterable[str]
) -> dict[str, str]:
    """Return the ids of the channels that hold these sources, whosever they are, by the source."""
    statement = select(channels.c.source_id, channels.c.id).where(
        channels.c.kind == kind, among(channels.c.source_id, source_ids), channels.c.holds_source
    )
    return {row.source_id: row.id for row in await connection.execute(statement)}


async def find_sharing_page(connection: AsyncConnection, channel: Channel) -> list[Channel]:
    """Return the live channels, whosever, that have their events from a channel's Page and app.

    It may be one of them itself.
    """
    statement = _SELECT.where(
        channels.c.page_id == channel.page_id,
        channels.c.meta_app_id == channel.meta_app_id,
        channels.c.holds_source,
    ).order_by(channels.c.id)
    return [channel_of(row) for row in (await connection.execute(statement)).mappings()]


async def forget_kept_token(connection: AsyncConnection, channel: Channel) -> None:
    """Take away the token of a channel that let its Page go, if it is still that one.

    No version is raised by it.
    """
    await connection.execute(
        update(channels)
        .where(
            channels.c.account_id == channel.account_id,
            channels.c.id == channel.id,
            channels.c.page_access_token == channel.page_access_token,
            ~channels.c.holds_source,
        )
        .values(page_access_token=None)
    )


async def forget_who_connected(connection: AsyncConnection, meta_app_id: str, user_id: str) -> None:
    """Take a person, and the tokens by them, out of channels that let their Pages go."""
    await connection.execute(
        update(channels)
        .where(
            channels.c.meta_app_id == meta_app_id,
            channels.c.connected_by == user_id,
            ~channels.c.holds_source,
        )
        .values(page_access_token=None, connected_by=None)
    )


async def note_probe(
    connection: AsyncConnection, channel: Channel, *, now: datetime, expires_at: datetime | None
) -> None:
    """Write down that a token was looked at and when it ends; nobody's version is raised by it."""
    await connection.execute(
        update(channels)
        .where(channels.c.account_id == channel.account_id, channels.c.id == channel.id)
        .values(token_checked_at=now, token_expires_at=expires_at)
    )


async def forget_failed_challenges(connection: AsyncConnection, channel: Channel) -> None:
    """Write down that a third party's challenge was answered; no version is raised by it."""
    await connection.execute(
        update(channels)
        .where(channels.c.account_id == channel.account_id, channels.c.id == channel.id)
        .values(failed_challenges=0)
    )


async def count_failed_challenge(connection: AsyncConnection, channel: Channel) -> int:
    """Count one more failed challenge of a third party and return how many there are in a row."""
    statement = (
        update(channels)
        .where(channels.c.account_id == channel.account_id, channels.c.id == channel.id)
        .values(failed_challenges=channels.c.failed_challenges + 1)
        .returning(channels.c.failed_challenges)
    )
    return int((await connection.execute(statement)).scalar_one())


async def find_on_pages(
    connection: AsyncConnection, account_id: str, meta_app_id: str, page_ids: Iterable[str]
) -> list[Channel]:
    """Return an account's channels on Pages, deleted ones left out, by their ids."""
    statement = _SELECT.where(
        channels.c.account_id == account_id,
        channels.c.meta_app_id == meta_app_id,
        among(channels.c.page_id, page_ids),
        channels.c.status != ChannelStatus.DELETED.value,
    ).order_by(channels.c.id)
    return [channel_of(row) for row in (await connection.execute(statement)).mappings()]


async def find_connected_by(
    connection: AsyncConnection, meta_app_id: str, user_id: str
) -> list[Channel]:
    """Return the channels that live by a person's login, whosever account they are of."""
    statement = _SELECT.where(
        channels.c.meta_app_id == meta_app_id,
        channels.c.connected_by == user_id,
        channels.c.holds_source,
    ).order_by(channels.c.id)
    return [channel_of(row) for row in (await connection.execute(statement)).mappings()]
