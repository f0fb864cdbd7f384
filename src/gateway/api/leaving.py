"""Takes the app off a Page that a channel lets go."""

import structlog

from gateway.api.parts import ApiParts
from gateway.db.channel_writes import shares_page
from gateway.db.channels import Channel
from gateway.db.meta_apps import get_app
from gateway.db.secrets import UndecryptableError
from gateway.errors import UpstreamFailedError
from gateway.http.exchange import Exchange
from gateway.messaging.page_access import page_access
from gateway.meta.graph import PageAccess
from gateway.meta.pages import PageRefusedError

log = structlog.get_logger()


async def leave_page(exchange: Exchange, parts: ApiParts, channel: Channel) -> None:
    """End the subscription to a channel's Page, unless another channel lives by it.

    Meta's refusal or absence does not keep a channel from letting its Page go: events of a Page
    that nobody holds have no effect.
    """
    access = await _access(exchange, channel)
    if access is None:
        return
    try:
        await parts.pages.disconnect(access)
    except (PageRefusedError, UpstreamFailedError) as error:
        log.warning("channel.still_subscribed", channel_id=channel.id, error=type(error).__name__)


async def _access(exchange: Exchange, channel: Channel) -> PageAccess | None:
    if channel.page_access_token is None or not channel.holds_source:
        return None
    async with exchange.glance() as work:
        app = await get_app(work.connection, channel.meta_app_id or "")
        if app is None or await shares_page(work.connection, channel):
            return None
        try:
            return page_access(work.keyring, channel, app)
        except UndecryptableError:
            log.warning("channel.token_unreadable", channel_id=channel.id)
            return None
