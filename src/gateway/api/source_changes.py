"""What a change of a channel's source has to ask outside first."""

from gateway.api.channel_bodies import SourceChanges
from gateway.api.connecting import (
    Asked,
    app_access,
    ask_meta,
    challenge_address,
    check_source_is_free,
)
from gateway.api.parts import ApiParts
from gateway.db.channels import Channel
from gateway.domain.channel import ChannelKind
from gateway.errors import FieldFault, InvalidFieldsError
from gateway.http.exchange import Exchange
from gateway.messaging.page_access import wanted_of


async def ask_for_source(
    exchange: Exchange, parts: ApiParts, channel: Channel, wanted: SourceChanges
) -> Asked | None:
    """Try a new Page token, or challenge a new address; None where nothing is new.

    Raises:
        InvalidFieldsError: It does not hold, or belongs to another kind of channel.
        PageAlreadyConnectedError: Another channel has taken the Page meanwhile.
        UpstreamFailedError: Meta did not answer.
    """
    if channel.kind is ChannelKind.THIRD_PARTY:
        return await _third_party(exchange, parts, channel, wanted)
    if wanted.source_name is not None or wanted.outgoing_webhook_url is not None:
        raise _invalid("", "Of a Page, only the token can be changed.")
    if wanted.page_access_token is None:
        return None
    async with exchange.glance() as work:
        await check_source_is_free(work, channel.kind, channel.source_id, but_for=channel.id)
        app = await app_access(work, channel.meta_app_id or "")
    page = wanted_of(channel, wanted.page_access_token)
    return await ask_meta(parts, app, page, page_name=channel.page_name)


async def _third_party(
    exchange: Exchange, parts: ApiParts, channel: Channel, wanted: SourceChanges
) -> Asked | None:
    if wanted.page_access_token is not None:
        raise _invalid("/page_access_token", "A third party has no Page token.")
    if wanted.source_name is None or wanted.outgoing_webhook_url is None:
        raise _invalid("", "A third party needs a name and an address.")
    columns: dict[str, str | int] = {
        "source_name": wanted.source_name,
        "outgoing_webhook_url": wanted.outgoing_webhook_url,
    }
    if wanted.outgoing_webhook_url != channel.outgoing_webhook_url:
        await challenge_address(
            parts, wanted.outgoing_webhook_url, await signing_secrets(exchange, channel)
        )
        columns["failed_challenges"] = 0
    elif wanted.source_name == channel.source_name:
        return None
    return Asked(columns=columns)


async def signing_secrets(exchange: Exchange, channel: Channel) -> list[str]:
    """Return the secrets that sign what we post to a third party: two while one rotates."""
    async with exchange.glance() as work:
        return channel.open_signing_secrets(work.keyring, work.now)


def _invalid(pointer: str, detail: str) -> InvalidFieldsError:
    return InvalidFieldsError(detail, faults=[FieldFault(f"/source{pointer}", "invalid", detail)])
