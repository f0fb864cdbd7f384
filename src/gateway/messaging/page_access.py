"""What calls in the name of a channel's Page need, opened for one use."""

from pydantic import SecretStr

from gateway.db.channels import Channel
from gateway.db.meta_apps import MetaApp
from gateway.db.secrets import KeyRing, UndecryptableError
from gateway.domain.channel import ChannelKind
from gateway.meta.graph import PageAccess
from gateway.meta.pages import Wanted


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


def wanted_of(channel: Channel, token: SecretStr) -> Wanted:
    """Return what a Meta channel needs of its Page, with a token that it has or may get."""
    return Wanted(
        page_id=channel.page_id or channel.source_id,
        token=token,
        instagram_id=channel.source_id if channel.kind is ChannelKind.INSTAGRAM else None,
    )
