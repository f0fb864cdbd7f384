"""Takes the app off a Page that a channel lets go."""

from typing import Any

import structlog

from gateway.api.parts import ApiParts
from gateway.db.channel_writes import find_sharing_page
from gateway.db.channels import Channel
from gateway.db.meta_apps import get_app
from gateway.db.secrets import UndecryptableError
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import UpstreamFailedError
from gateway.http.exchange import Exchange
from gateway.messaging.leaving import leave_later, note_leaving
from gateway.messaging.page_access import page_access
from gateway.meta.graph import PageAccess
from gateway.meta.page_findings import PageRefusedError

log = structlog.get_logger()


async def leave_page(exchange: Exchange, parts: ApiParts, channel: Channel) -> bool:
    """End the subscription to a channel's Page, unless another channel lives by it.

    Meta's refusal or absence does not keep a channel from letting its Page go: events of a Page
    that nobody holds have no effect. Returns False where Meta has to be told later.
    """
    access = await _access(exchange, channel)
    if access is None:
        return True
    try:
        await parts.pages.disconnect(access)
    except PageRefusedError:
        note_leaving(channel.id, "refused")
    except UpstreamFailedError:
        note_leaving(channel.id, "away")
        return False
    else:
        note_leaving(channel.id, "unsubscribed")
    return True


async def freed_columns(work: UnitOfWork, channel: Channel, *, told: bool) -> dict[str, Any]:
    """Return what the row of a channel without its Page holds; `told` is what `leave_page` said.

    Where Meta has yet to be told, that is set off.
    """
    if not told:
        await leave_later(work, channel)
    return {
        "holds_source": False,
        "freed_at": channel.freed_at or work.now,
        "page_access_token": None if told else channel.page_access_token,
    }


async def _access(exchange: Exchange, channel: Channel) -> PageAccess | None:
    if channel.page_access_token is None:
        return None
    async with exchange.glance() as work:
        sharing = await find_sharing_page(work.connection, channel)
        app = await get_app(work.connection, channel.meta_app_id or "")
        if app is None or any(each.id != channel.id for each in sharing):
            return None
        try:
            return page_access(work.keyring, channel, app)
        except UndecryptableError:
            log.warning("channel.token_unreadable", channel_id=channel.id)
            return None
