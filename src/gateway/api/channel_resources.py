"""Channels as the REST API shows them."""

from typing import Any

from fastapi import Response
from pydantic import ConfigDict, Field

from gateway.api.parts import ApiParts
from gateway.contracts.moments import rfc3339
from gateway.contracts.resources import Channel as ChannelResource
from gateway.contracts.resources import (
    InstagramSource,
    MessengerSource,
    Moment,
    Resource,
    ThirdPartySource,
)
from gateway.db.channels import Channel, get_channel
from gateway.db.paces import get_sending
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, ChannelStatus
from gateway.errors import ChannelDeletedError, NotFoundError
from gateway.http.versions import tag_version
from gateway.messaging.channel_events import channel_resource


class CreatedThirdPartySource(ThirdPartySource):
    """A system that speaks the third-party interface, with what it has to know."""

    incoming_token: str = Field(
        description="By which the third party posts to us. It is not shown again.",
        examples=["cgt_…"],
    )
    signing_secret: str = Field(
        description="By which it verifies what we post. It is not shown again.",
        examples=["whsec_…"],
    )


class CreatedChannel(ChannelResource):
    """A channel that was just made, with secrets that are shown this once."""

    source: InstagramSource | MessengerSource | CreatedThirdPartySource = Field(  # type: ignore[mutable-override]  # one of the three has more to show
        union_mode="left_to_right"
    )


class ChannelSending(Resource):
    """How fast a channel may send, where its limits were learnt; null where a part is not known."""

    usage_percent: int | None = Field(
        None, description="How much of the Page's own limit Meta says is used up.", examples=[85]
    )
    app_usage_percent: int | None = Field(
        None, description="How much of the limit that all Pages of the Meta app share."
    )
    pace_per_second: float | None = Field(
        None, description="Calls a second while it is slowed; null while it is not.", examples=[3.5]
    )
    rests_until: Moment | None = Field(
        None, description="Nothing is sent before; null where nothing rests."
    )


class ChannelDetails(ChannelResource):
    """A channel, and how its sending stands."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    sending: ChannelSending | None = Field(
        None,
        description="Absent where nothing was learnt of its limits within an hour.",
        exclude_if=lambda value: value is None,
    )


def shown(parts: ApiParts, channel: Channel, response: Response | None = None) -> ChannelResource:
    """Return a channel's public form; its version goes into the answer's header."""
    if response is not None:
        tag_version(response, channel.version)
    return ChannelResource.model_validate(_resource(parts, channel))


def created_channel(
    parts: ApiParts, channel: Channel, secrets: dict[str, str], response: Response
) -> CreatedChannel:
    """Return a new channel's public form with the secrets that are shown this once."""
    tag_version(response, channel.version)
    resource = _resource(parts, channel)
    resource["source"] |= secrets
    return CreatedChannel.model_validate(resource)


async def shown_in_detail(
    work: UnitOfWork, parts: ApiParts, channel: Channel, response: Response
) -> ChannelDetails:
    """Return a channel's public form with how its sending stands."""
    tag_version(response, channel.version)
    sending = await get_sending(work.connection, channel.account_id, channel.id, now=work.now)
    resource = _resource(parts, channel)
    if sending is not None:
        resource["sending"] = {
            "usage_percent": sending.usage_percent,
            "app_usage_percent": sending.app_usage_percent,
            "pace_per_second": sending.pace_per_second,
            "rests_until": sending.rests_until and rfc3339(sending.rests_until),
        }
    return ChannelDetails.model_validate(resource)


async def existing_channel(
    work: UnitOfWork, account_id: str, channel_id: str, *, lock: bool = False, alive: bool = False
) -> Channel:
    """Return a channel of an account.

    Raises:
        NotFoundError: There is none.
        ChannelDeletedError: It is deleted, and `alive` says that it must not be.
    """
    channel = await get_channel(work.connection, account_id, channel_id, lock=lock)
    if channel is None:
        raise NotFoundError("There is no such channel.")
    if alive and channel.status is ChannelStatus.DELETED:
        raise ChannelDeletedError("The channel is deleted.")
    return channel


def incoming_url(parts: ApiParts, channel_id: str) -> str:
    """Return where a third party posts messages to us."""
    return f"{parts.public_url.rstrip('/')}/incoming/{channel_id}/messages"


def _resource(parts: ApiParts, channel: Channel) -> dict[str, Any]:
    resource = channel_resource(channel)
    if channel.kind is ChannelKind.THIRD_PARTY:
        resource["source"]["incoming_url"] = incoming_url(parts, channel.id)
    return resource
