"""Channels: connected sources with their settings."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi import Body as FromBody

from gateway.api.channel_bodies import ChannelChanges, NewChannel
from gateway.api.channel_changes import store_changes
from gateway.api.channel_resources import (
    ChannelDetails,
    CreatedChannel,
    created_channel,
    existing_channel,
    shown,
    shown_in_detail,
)
from gateway.api.channel_settings import changed_columns
from gateway.api.filters import Search
from gateway.api.leaving import freed_columns, leave_page
from gateway.api.new_channels import ask_for_new_source, check_new_channel, make_channel
from gateway.api.parts import Parts
from gateway.api.source_changes import ask_for_source
from gateway.contracts.resources import Channel as ChannelResource
from gateway.contracts.resources import ChannelStatusName
from gateway.db.channel_writes import change_channel, list_channels
from gateway.db.meta_apps import raise_secret_version
from gateway.domain.channel import ChannelStatus
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Glances, Outside, Work
from gateway.http.schemas import Page
from gateway.http.versions import IfMatch
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.settlement import release_target

router = APIRouter(prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute)


@router.post("", status_code=201, dependencies=[WRITE])
async def create_channel(
    body: NewChannel, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> CreatedChannel:
    """Connect a source.

    A Page is connected with a Page token, which is tried at once. A third party's address is
    challenged first; the answer holds what the third party has to know, this once.
    """
    async with outside.glance() as work:
        await check_new_channel(work, parts, account_id, body)
    asked = await ask_for_new_source(outside, parts, body)
    work = await outside.effect()
    channel = await make_channel(work, parts, account_id, body, asked)
    return created_channel(parts, channel, asked.shown, response)


@router.get("", dependencies=[READ])
async def list_all_channels(
    account_id: AccountId,
    parts: Parts,
    work: Work,
    paging: Paging,
    search: Search = None,
    status: Annotated[
        ChannelStatusName | None,
        Query(description="Deleted ones are left out unless asked for."),
    ] = None,
    kind: Literal["messenger", "instagram", "third_party"] | None = None,
) -> Page[ChannelResource]:
    """List channels, the newest first."""
    place = paging.place("channels", str)
    rows = await list_channels(
        work.connection,
        account_id,
        statuses=() if status is None else (status,),
        kind=kind,
        search=search,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    channels, cursor = paging.page(rows, "channels", lambda channel: [channel.id])
    return Page(data=[shown(parts, channel) for channel in channels], next_cursor=cursor)


@router.get("/{channel_id}", dependencies=[READ])
async def read_channel(
    channel_id: str, account_id: AccountId, parts: Parts, work: Work, response: Response
) -> ChannelDetails:
    """Read a channel; a deleted one is shown as deleted.

    `sending` says how much of Meta's limits is used up, and how fast messages leave for now.
    """
    channel = await existing_channel(work, account_id, channel_id)
    return await shown_in_detail(work, parts, channel, response)


@router.patch("/{channel_id}", dependencies=[WRITE])
async def change_channel_settings(
    channel_id: str,
    body: Annotated[Patch[ChannelChanges], FromBody()],
    account_id: AccountId,
    parts: Parts,
    exchange: Glances,
    if_match: IfMatch,
    response: Response,
) -> ChannelResource:
    """Change a channel.

    A new `source.page_access_token` is tried at once: if it holds, the channel is active again, and
    the messages that waited leave in order. A new `source.outgoing_webhook_url` is challenged.
    Another `link` answers enquiries to come; running ones go to it only with `link.move_open`.
    """
    async with exchange.glance() as work:
        channel = await existing_channel(work, account_id, channel_id, alive=True)
        if_match.check(channel.version)
        wanted, _ = await changed_columns(work, parts, channel, body)
    asked = await ask_for_source(exchange, parts, channel, wanted.source)
    work = await exchange.effect()
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    if_match.check(channel.version)
    wanted, columns = await changed_columns(work, parts, channel, body)
    changed = await store_changes(work, parts, channel, columns, asked)
    if wanted.link.move_open:
        await parts.routing_changes.link_moved(work, account_id, channel_id)
    return shown(parts, changed, response)


@router.delete("/{channel_id}", status_code=204, dependencies=[WRITE])
async def delete_channel(
    channel_id: str, account_id: AccountId, parts: Parts, exchange: Glances
) -> None:
    """Delete a channel.

    Its Page is free again, its enquiries close, what has not been sent fails; its history stays
    readable.
    """
    async with exchange.glance() as work:
        channel = await existing_channel(work, account_id, channel_id)
    if channel.status is ChannelStatus.DELETED:
        return
    told = await leave_page(exchange, parts, channel)
    work = await exchange.effect()
    channel = await existing_channel(work, account_id, channel_id, lock=True)
    if channel.status is ChannelStatus.DELETED:
        return
    deleted = await change_channel(
        work.connection,
        channel,
        now=work.now,
        status=ChannelStatus.DELETED,
        status_reason=None,
        deleted_at=work.now,
        **await freed_columns(work, channel, told=told),
    )
    announce_channel(work, deleted, "deleted")
    await parts.routing_changes.channel_deleted(work, account_id, channel_id)
    # The sender fails them one by one, each in its own conversation.
    await release_target(work, deleted)
    await raise_secret_version(work)
