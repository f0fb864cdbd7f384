"""Lets a channel live on by the login of another administrator of its Page."""

from typing import Any

from pydantic import SecretStr

from gateway.db.channel_writes import secret_row
from gateway.db.channels import Channel, get_channel
from gateway.db.page_tokens import PageToken, find_page_tokens
from gateway.db.unit_of_work import UnitOfWork
from gateway.messaging.channel_status import write_status


async def take_over(work: UnitOfWork, channel: Channel, *, but: str) -> bool:
    """Let a channel live by another administrator's token, where one is known."""
    page_id = channel.page_id or channel.source_id
    known = await find_page_tokens(
        work.connection, channel.account_id, channel.meta_app_id or "", [page_id]
    )
    for each in known:
        if each.user_id == but:
            continue
        locked = await get_channel(work.connection, channel.account_id, channel.id, lock=True)
        if locked is not None:
            await write_status(work, locked, **_token(work, locked, each.open(work.keyring), each))
            return True
    return False


def _token(work: UnitOfWork, channel: Channel, token: SecretStr, kept: PageToken) -> dict[str, Any]:
    return {
        "page_access_token": work.keyring.encrypt(
            token.get_secret_value(), row=secret_row(channel.id, "page_access_token")
        ),
        "connected_by": kept.user_id,
    }
