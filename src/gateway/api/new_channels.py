"""Makes channels."""

from typing import Any, TypeAlias

from sqlalchemy.exc import IntegrityError

from gateway.api.channel_bodies import (
    NewInstagramChannel,
    NewMessengerChannel,
    NewThirdPartyChannel,
)
from gateway.api.channel_settings import require_department, settings_columns
from gateway.api.connecting import (
    Asked,
    app_access,
    ask_meta,
    ask_third_party,
    check_source_is_free,
)
from gateway.api.parts import ApiParts
from gateway.db.accounts import count_channels, get_account
from gateway.db.channel_writes import insert_channel
from gateway.db.channels import Channel
from gateway.db.departments import count_departments
from gateway.db.meta_apps import raise_secret_version
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.channel import ChannelKind
from gateway.errors import (
    ConflictError,
    DepartmentsExhaustedError,
    UnauthenticatedError,
)
from gateway.http.exchange import Exchange
from gateway.messaging.channel_events import announce_channel
from gateway.messaging.channel_status import already_connected, entered
from gateway.meta.page_findings import Wanted

NewMetaChannel: TypeAlias = NewMessengerChannel | NewInstagramChannel
AnyNewChannel: TypeAlias = NewMetaChannel | NewThirdPartyChannel


async def check_new_channel(
    work: UnitOfWork, parts: ApiParts, account_id: str, body: AnyNewChannel
) -> dict[str, Any]:
    """Pass where the account has room for a channel and its settings hold; return these.

    Raises:
        ConflictError: It has no room.
        InvalidFieldsError: The settings do not hold.
    """
    columns = await settings_columns(work, parts, account_id, body, kind=ChannelKind(body.kind))
    account = await get_account(work.connection, account_id, lock=True)
    if account is None:
        raise UnauthenticatedError("This account has been deleted.")
    channels = await count_channels(work.connection, account_id)
    if account.departments_enabled:
        if channels >= await count_departments(work.connection, account_id):
            raise DepartmentsExhaustedError("The account has no department to spare.")
        if body.department_id is None:
            await require_department(work, account_id)
    limit = account.channels_limit
    if limit is not None and channels >= limit:
        raise ConflictError(f"The account may have {limit} channels and has them.")
    return columns


async def ask_for_new_source(exchange: Exchange, parts: ApiParts, body: AnyNewChannel) -> Asked:
    """Connect the Page, or challenge the third party's address.

    Raises:
        PageAlreadyConnectedError: Another channel holds it; Meta is not asked then.
        InvalidFieldsError: The source is not what it has to be.
        UpstreamFailedError: Meta did not answer.
    """
    if isinstance(body, NewThirdPartyChannel):
        return await ask_third_party(
            parts,
            source_name=body.source.source_name,
            url=body.source.outgoing_webhook_url,
        )
    async with exchange.glance() as work:
        await check_source_is_free(work, ChannelKind(body.kind), _source_id(body))
        app = await app_access(work, body.meta_app_id)
    page = Wanted(
        page_id=body.source.page_id,
        token=body.source.page_access_token,
        instagram_id=_source_id(body) if isinstance(body, NewInstagramChannel) else None,
    )
    return await ask_meta(parts, app, page, page_name=body.source.page_name)


async def make_channel(
    work: UnitOfWork, parts: ApiParts, account_id: str, body: AnyNewChannel, asked: Asked
) -> Channel:
    """Write the channel and announce it.

    Raises:
        PageAlreadyConnectedError: Somebody else connected the source while we asked.
        ConflictError: The account has no room any more.
        InvalidFieldsError: The settings do not hold any more.
    """
    columns = await check_new_channel(work, parts, account_id, body)
    channel_id = ids.new_id(ids.CHANNEL)
    nothing: dict[str, Any] = dict.fromkeys(Channel.__dataclass_fields__)
    values = nothing | {
        "account_id": account_id,
        "id": channel_id,
        "kind": ChannelKind(body.kind),
        "status": asked.status,
        "status_reason": asked.trouble,
        "source_id": (channel_id if isinstance(body, NewThirdPartyChannel) else _source_id(body)),
        "subscribed_fields": [],
        "routing_version": 1,
        "holds_source": True,
        "connected_at": work.now,
        "created_at": work.now,
        "version": 1,
    }
    channel = Channel(**(values | columns | asked.row_of(channel_id, work.keyring)))
    try:
        await insert_channel(work.connection, channel, now=work.now)
    except IntegrityError as error:
        raise already_connected() from error
    announce_channel(work, channel, "created")
    announce_channel(work, channel, entered(channel.status))
    await raise_secret_version(work)
    return channel


def _source_id(body: NewMetaChannel) -> str:
    if isinstance(body, NewInstagramChannel):
        return body.source.instagram_id
    return body.source.page_id
