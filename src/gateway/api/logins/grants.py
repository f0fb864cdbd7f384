"""What a grant means for the account: its tokens kept, its channels renewed, those it lost told."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import structlog
from pydantic import SecretStr

from gateway.api.connecting import access_of, connect_page
from gateway.api.parts import ApiParts
from gateway.api.taking_over import take_over
from gateway.db.channel_writes import find_connected_by, find_on_pages, secret_row
from gateway.db.channels import Channel, get_channel
from gateway.db.logins import Login, change_login
from gateway.db.meta_apps import get_app
from gateway.db.page_tokens import (
    PageToken,
    keep_page_tokens,
)
from gateway.db.page_tokens import secret_row as page_token_row
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.channel import ChannelStatus, StatusReason, status_with
from gateway.domain.login import GRANT_LIFE, LoginState
from gateway.errors import PageAlreadyConnectedError, UpstreamFailedError
from gateway.messaging.channel_health import mark_channel
from gateway.messaging.channel_status import write_status
from gateway.messaging.page_access import wanted_of
from gateway.meta.login import FoundPage, Grant
from gateway.meta.page_findings import AppAccess, ConnectedPage, PageRefusedError

# A browser waits meanwhile. What is not reached keeps its new token and its status.
_RENEWAL: Final = timedelta(seconds=20)
_AT_ONCE: Final = 8
_QUIET: Final = (ChannelStatus.ACTIVE, ChannelStatus.SUSPENDED)

log = structlog.get_logger()


async def take_grant(database: Database, parts: ApiParts, login: Login, grant: Grant) -> Login:
    """Write down what was granted, and let the account's channels have it."""
    async with database.unit_of_work() as work:
        await keep_page_tokens(
            work.connection, (_kept(work, login, grant, page) for page in grant.pages)
        )
        lost = await _mark_lost(work, login, grant)
        login = await change_login(
            work.connection,
            login,
            now=work.now,
            state=LoginState.GRANTED,
            error=None,
            user_id=grant.user_id,
            scopes=list(grant.scopes),
            pages=[asdict(each.page) for each in grant.pages],
            lost=lost,
            expires_at=work.now + GRANT_LIFE,
        )
        renewable = await find_on_pages(
            work.connection,
            login.account_id,
            login.meta_app_id,
            [each.page.page_id for each in grant.pages],
        )
        app = await get_app(work.connection, login.meta_app_id)
        access = None if app is None else access_of(work, app)
    if access is not None:
        await _renew(database, parts, login, grant, renewable, access)
    return login


def _kept(work: UnitOfWork, login: Login, grant: Grant, found: FoundPage) -> PageToken:
    page_id = found.page.page_id
    row = page_token_row(login.account_id, page_id, grant.user_id)
    return PageToken(
        account_id=login.account_id,
        meta_app_id=login.meta_app_id,
        page_id=page_id,
        user_id=grant.user_id,
        token=work.keyring.encrypt(found.token.get_secret_value(), row=row),
        scopes=list(grant.scopes),
        expires_at=grant.expires_at,
        granted_at=work.now,
    )


async def _mark_lost(work: UnitOfWork, login: Login, grant: Grant) -> list[str]:
    """Disconnect the channels that lived by this person's grant and are not in it any more.

    Also those of other accounts, whose owners are told by their own events alone. Returns the ids
    of this account's.
    """
    granted = {each.page.page_id for each in grant.pages}
    lost = []
    for channel in await find_connected_by(work.connection, login.meta_app_id, grant.user_id):
        page_id = channel.page_id or channel.source_id
        if page_id in granted or channel.status is ChannelStatus.SUSPENDED:
            continue
        if await take_over(work, channel, but=grant.user_id):
            continue
        await mark_channel(work, channel, ChannelStatus.DISCONNECTED, StatusReason.PAGE_NOT_GRANTED)
        if channel.account_id == login.account_id:
            lost.append(channel.id)
    return lost


async def _renew(
    database: Database,
    parts: ApiParts,
    login: Login,
    grant: Grant,
    renewable: Sequence[Channel],
    app: AppAccess,
) -> None:
    """Give channels their new tokens; those that are not well are connected anew."""
    tokens = {each.page.page_id: each.token for each in grant.pages}
    wanted = [each for each in renewable if each.holds_source or each.id == login.channel_id]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def renew(channel: Channel) -> None:
        token = tokens[channel.page_id or channel.source_id]
        async with gate:
            page = None
            if channel.status not in _QUIET:
                page = await _connected(parts, app, channel, token)
            await _store(database, login, grant.user_id, channel, token, page)

    try:
        async with asyncio.timeout(_RENEWAL.total_seconds()), asyncio.TaskGroup() as group:
            for channel in _worst_first(wanted):
                group.create_task(renew(channel))
    except TimeoutError:
        log.warning("login.renewal_cut_short", login_id=login.id, channels=len(wanted))


def _worst_first(channels: Iterable[Channel]) -> list[Channel]:
    return sorted(channels, key=lambda channel: channel.status in _QUIET)


async def _connected(
    parts: ApiParts, app: AppAccess, channel: Channel, token: SecretStr
) -> ConnectedPage | StatusReason | None:
    try:
        return await connect_page(parts, app, wanted_of(channel, token))
    except PageRefusedError as error:
        return error.reason
    except UpstreamFailedError:
        return None


async def _store(
    database: Database,
    login: Login,
    user_id: str,
    channel: Channel,
    token: SecretStr,
    page: ConnectedPage | StatusReason | None,
) -> None:
    changes: dict[str, Any] = {}
    match page:
        case ConnectedPage():
            changes = {
                "status": status_with(page.trouble),
                "status_reason": page.trouble,
                "page_name": page.name or channel.page_name,
                "subscribed_fields": list(page.subscribed_fields),
                "human_agent": page.human_agent,
                "holds_source": True,
                "freed_at": None,
            }
        case StatusReason():
            changes = {"status": ChannelStatus.DISCONNECTED, "status_reason": page}
        case None:
            pass
    async with database.unit_of_work() as work:
        present = await get_channel(work.connection, channel.account_id, channel.id, lock=True)
        if present is None or present.status is ChannelStatus.DELETED:
            return
        if present.status is ChannelStatus.SUSPENDED:
            changes = {}
        sealed = work.keyring.encrypt(
            token.get_secret_value(), row=secret_row(channel.id, "page_access_token")
        )
        try:
            await write_status(
                work, present, page_access_token=sealed, connected_by=user_id, **changes
            )
        except PageAlreadyConnectedError:
            # Freed, and taken by somebody else meanwhile.
            log.info("login.page_taken", login_id=login.id, channel_id=channel.id)
