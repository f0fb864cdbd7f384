"""What can be done with a channel."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from gateway.api.channel_bodies import Address
from gateway.api.channel_resources import existing_channel, shown
from gateway.api.connecting import (
    challenge_address,
    connect_page,
    incoming_token_hash,
    new_incoming_token,
)
from gateway.api.leaving import freed_columns, leave_page
from gateway.api.parts import ApiParts, Parts
from gateway.api.rotation import RotatedSigningSecret, Rotation
from gateway.api.source_changes import signing_secrets
from gateway.contracts.resources import Channel as ChannelResource
from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel
from gateway.db.meta_apps import raise_secret_version
from gateway.db.secrets import rotate
from gateway.domain.channel import ChannelKind, ChannelStatus, StatusReason, status_with
from gateway.errors import (
    ChallengeFailedError,
    IllegalTransitionError,
    NotSupportedByChannelError,
)
from gateway.http.exchange import Exchange
from gateway.http.routes import WRITE, AccountId, GatewayRoute, Outside, Work
from gateway.http.schemas import Body, Moment, Resource
from gateway.messaging.channel_status import write_status
from gateway.messaging.page_access import probe_access
from gateway.messaging.probing import take_challenge
from gateway.meta.page_findings import PageRefusedError
from gateway.net.signing import generate_signing_secret

router = APIRouter(
    prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute, dependencies=[WRITE]
)

_ALIVE: Final = (ChannelStatus.ACTIVE, ChannelStatus.DEGRADED, ChannelStatus.DISCONNECTED)
_ALLOWED: Final[dict[ChannelStatus, tuple[str, ...]]] = {
    ChannelStatus.ACTIVE: ("suspended", "disconnected", "deleted"),
    ChannelStatus.DEGRADED: ("active", "suspended", "disconnected", "deleted"),
    ChannelStatus.DISCONNECTED: ("active", "suspended", "deleted"),
    ChannelStatus.SUSPENDED: ("active", "deleted"),
}


class WebhookAddress(Body):
    """An address to be tried."""

    url: Address = Field(examples=["https://chat.acme.example/gateway"])


class ChallengePassed(Resource):
    """An address that answered the challenge."""

    ok: bool = True
    milliseconds: int = Field(description="How long the answer took.", examples=[42])


class RotatedIncomingToken(Resource):
    """A fresh incoming token, shown this once."""

    incoming_token: str = Field(examples=["cgt_…"])
    previous_expires_at: Moment = Field(description="Until then, the one before works as well.")


@router.post("/verify-webhook")
async def try_webhook(body: WebhookAddress, parts: Parts) -> ChallengePassed:
    """Try an address before anything is made with it.

    It gets the challenge that it would get on entry, signed with a throw-away secret.
    """
    milliseconds = await challenge_address(
        parts, body.url, [generate_signing_secret()], pointer="/url"
    )
    return ChallengePassed(milliseconds=milliseconds)


@router.post("/{channel_id}/suspend")
async def suspend_channel(
    channel_id: str, account_id: AccountId, parts: Parts, work: Work, response: Response
) -> ChannelResource:
    """Suspend a channel: nothing is sent, and what comes in waits until it is reactivated.

    `on_suspend` says what becomes of messages that were not sent yet.
    """
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    _require(channel, _ALIVE)
    suspended = await write_status(
        work, channel, status=ChannelStatus.SUSPENDED, status_reason=None
    )
    await raise_secret_version(work)
    return shown(parts, suspended, response)


@router.post("/{channel_id}/reactivate")
async def reactivate_channel(
    channel_id: str, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> ChannelResource:
    """Let a suspended channel go on.

    The Page is probed first, or the third party's address challenged. What waited leaves in order.
    """
    async with outside.glance() as work:
        channel = await existing_channel(work, account_id, channel_id, alive=True)
        _require(channel, (ChannelStatus.SUSPENDED,))
    if channel.kind is ChannelKind.THIRD_PARTY:
        assert channel.outgoing_webhook_url is not None
        secrets = await signing_secrets(outside, channel)
        await challenge_address(parts, channel.outgoing_webhook_url, secrets)
        health: tuple[ChannelStatus, StatusReason | None] = (ChannelStatus.ACTIVE, None)
    else:
        health = await _probe(outside, parts, channel)
    work = await outside.effect()
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    _require(channel, (ChannelStatus.SUSPENDED,))
    status, reason = health
    reactivated = await write_status(work, channel, status=status, status_reason=reason)
    await raise_secret_version(work)
    return shown(parts, reactivated, response)


@router.post("/{channel_id}/disconnect")
async def disconnect_channel(
    channel_id: str, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> ChannelResource:
    """Let a Page go: its events stop, and another channel may connect it.

    Settings and history stay. To connect it again, give it a new `source.page_access_token`.
    """
    async with outside.glance() as work:
        channel = await existing_channel(work, account_id, channel_id, alive=True)
        _check_disconnectable(channel)
    told = await leave_page(outside, parts, channel)
    work = await outside.effect()
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    _check_disconnectable(channel)
    disconnected = await write_status(
        work,
        channel,
        detail="The channel was disconnected by hand.",
        remedy="Give the channel a new Page token to connect it again.",
        status=ChannelStatus.DISCONNECTED,
        status_reason=None,
        subscribed_fields=[],
        **await freed_columns(work, channel, told=told),
    )
    return shown(parts, disconnected, response)


@router.post("/{channel_id}/verify")
async def verify_channel(
    channel_id: str, account_id: AccountId, parts: Parts, outside: Outside, response: Response
) -> ChannelResource:
    """Challenge a third party's address again.

    A failure counts: after three in a row the channel is degraded, and its messages wait.
    """
    async with outside.glance() as work:
        channel = await existing_channel(work, account_id, channel_id, alive=True)
        _require_third_party(channel)
    assert channel.outgoing_webhook_url is not None
    secrets = await signing_secrets(outside, channel)
    try:
        await challenge_address(parts, channel.outgoing_webhook_url, secrets)
    except ChallengeFailedError:
        async with outside.glance() as work:
            await take_challenge(work, channel, passed=False)
        raise
    work = await outside.effect()
    checked = await take_challenge(work, channel, passed=True)
    if checked is None:
        checked = await existing_channel(work, account_id, channel_id, alive=True)
    return shown(parts, checked, response)


@router.post("/{channel_id}/incoming-token/rotate")
async def rotate_incoming_token(
    channel_id: str, account_id: AccountId, work: Work, body: Rotation | None = None
) -> RotatedIncomingToken:
    """Give a third party another token to post to us with; the one before works for a while yet."""
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    _require_third_party(channel)
    token = new_incoming_token()
    until = work.now + timedelta(seconds=(body or Rotation()).overlap_seconds)
    await change_channel(
        work.connection,
        channel,
        now=work.now,
        incoming_token_hash=incoming_token_hash(token),
        previous_incoming_token_hash=channel.incoming_token_hash,
        previous_incoming_token_expires_at=until,
    )
    await raise_secret_version(work)
    return RotatedIncomingToken(incoming_token=token, previous_expires_at=until)


@router.post("/{channel_id}/signing-secret/rotate")
async def rotate_signing_secret(
    channel_id: str, account_id: AccountId, work: Work, body: Rotation | None = None
) -> RotatedSigningSecret:
    """Sign what we post to a third party with another secret, and for a while with both."""
    channel = await existing_channel(work, account_id, channel_id, lock=True, alive=True)
    _require_third_party(channel)
    fresh = generate_signing_secret()
    until = work.now + timedelta(seconds=(body or Rotation()).overlap_seconds)
    rotated = rotate(work.keyring, channel, "signing_secret", fresh, until=until)
    await change_channel(work.connection, channel, now=work.now, **rotated)
    await raise_secret_version(work)
    return RotatedSigningSecret(signing_secret=fresh, previous_expires_at=until)


async def _probe(
    exchange: Exchange, parts: ApiParts, channel: Channel
) -> tuple[ChannelStatus, StatusReason | None]:
    async with exchange.glance() as work:
        access = await probe_access(work, channel)
    if access is None:
        return ChannelStatus.DISCONNECTED, StatusReason.TOKEN_EXPIRED
    app, wanted = access
    try:
        page = await connect_page(parts, app, wanted)
    except PageRefusedError as error:
        return ChannelStatus.DISCONNECTED, error.reason
    return status_with(page.trouble), page.trouble


def _check_disconnectable(channel: Channel) -> None:
    if channel.kind is ChannelKind.THIRD_PARTY:
        raise NotSupportedByChannelError(
            "A third-party channel holds no Page; suspend or delete it."
        )
    if channel.status is ChannelStatus.SUSPENDED or not channel.holds_source:
        raise _no_way(channel)


def _require_third_party(channel: Channel) -> None:
    if channel.kind is not ChannelKind.THIRD_PARTY:
        raise NotSupportedByChannelError("This is for third-party channels only.")


def _require(channel: Channel, statuses: Collection[ChannelStatus]) -> None:
    if channel.status not in statuses:
        raise _no_way(channel)


def _no_way(channel: Channel) -> IllegalTransitionError:
    return IllegalTransitionError(
        f"The channel is {channel.status}.",
        extra={"state": channel.status.value, "allowed": list(_ALLOWED[channel.status])},
    )
