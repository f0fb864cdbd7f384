"""What calls in the name of a channel's Page need, opened for one use."""

from pydantic import SecretStr

from gateway.db.channels import Channel
from gateway.db.meta_apps import MetaApp, get_app
from gateway.db.secrets import KeyRing, UndecryptableError
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind
from gateway.errors import UpstreamFailedError
from gateway.meta.graph import PageAccess
from gateway.meta.page_findings import AppAccess, Wanted


def page_access(keyring: KeyRing, channel: Channel, app: MetaApp) -> PageAccess:
    """Return a Page's access.

    Raises:
        UndecryptableError: The channel has no token, or a secret cannot be read.
    """
    if channel.page_access_token is None:
        raise UndecryptableError(f"channel {channel.id} has no token")
    token = keyring.decrypt(
        bytes(channel.page_access_token), row=channel.secret_row("page_access_token")
    )
    return PageAccess(
        page_id=channel.page_id or channel.source_id,
        token=SecretStr(token),
        app_secret=app.open_secrets(keyring)[0],
        version=app.graph_version,
    )


async def get_page_access(work: UnitOfWork, channel: Channel) -> PageAccess:
    """Return the access to a channel's Page.

    Raises:
        UpstreamFailedError: There is none that can be used.
    """
    app = await get_app(work.connection, channel.meta_app_id or "")
    if app is None:
        raise UpstreamFailedError("The channel has no Meta app to ask with.")
    try:
        return page_access(work.keyring, channel, app)
    except UndecryptableError as error:
        raise UpstreamFailedError("The channel's token cannot be read.") from error


async def find_page_access(work: UnitOfWork, channel: Channel) -> PageAccess | None:
    """Return the access to a channel's Page; None where there is none that can be used."""
    try:
        return await get_page_access(work, channel)
    except UpstreamFailedError:
        return None


def wanted_of(channel: Channel, token: SecretStr) -> Wanted:
    """Return what a Meta channel needs of its Page, with a token that it has or may get."""
    return Wanted(
        page_id=channel.page_id or channel.source_id,
        token=token,
        instagram_id=channel.source_id if channel.kind is ChannelKind.INSTAGRAM else None,
    )


async def probe_access(work: UnitOfWork, channel: Channel) -> tuple[AppAccess, Wanted] | None:
    """Return what probing a channel needs; None where it has no usable token, or lives no more."""
    access = await find_page_access(work, channel) if channel.holds_source else None
    if access is None or channel.meta_app_id is None:
        return None
    return (
        AppAccess(app_id=channel.meta_app_id, secret=access.app_secret, version=access.version),
        wanted_of(channel, access.token),
    )
