"""The REST of a channel's routing: reading and replacing it."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import TypeAdapter

from gateway.contracts.routings import ChannelRouting, ChannelRoutingAsSent
from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel, get_channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus
from gateway.errors import ChannelDeletedError, NotFoundError, VersionMismatchError
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.versions import IfMatch, tag_version
from gateway.messaging.channel_events import announce_channel
from routing.acceptance import RoutingRules
from routing.changes import RoutingChanges

router = APIRouter(tags=["Routing"], route_class=GatewayRoute)

_SHOWN: Final[TypeAdapter[ChannelRouting]] = TypeAdapter(ChannelRouting)
# What GET answers where there is no routing.
_NONE: Final[dict[str, Any]] = {"rule": None, "destinations": [], "waiting_limit_seconds": None}


@router.get("/v1/channels/{channel_id}/routing", dependencies=[READ])
async def read_routing(
    channel_id: str, account_id: AccountId, work: Work, response: Response
) -> ChannelRouting:
    """Read a channel's routing."""
    return _shown(await existing_channel(work, account_id, channel_id), response)


@router.put("/v1/channels/{channel_id}/routing", dependencies=[WRITE])
async def replace_routing(
    channel_id: str,
    body: Annotated[
        ChannelRoutingAsSent | None,
        FromBody(
            description="Null for no routing. What was read may be sent back, its version too.",
            examples=[
                {
                    "rule": "alternative",
                    "destinations": [{"id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6"}],
                }
            ],
        ),
    ],
    account_id: AccountId,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> ChannelRouting:
    """Replace a channel's routing; enquiries that wait are routed anew."""
    channel = await existing_channel(work, account_id, channel_id, lock=True)
    if channel.status is ChannelStatus.DELETED:
        raise ChannelDeletedError("The channel is deleted.")
    if_match.check(channel.routing_version)
    version = body.get("version") if isinstance(body, dict) else None
    if version not in (None, channel.routing_version):
        raise VersionMismatchError(f"The present version is {channel.routing_version}.")
    channel = await change_channel(
        work.connection,
        channel,
        now=work.now,
        routing=await accept_draft(work, account_id, body, pointer_prefix=""),
        routing_version=channel.routing_version + 1,
    )
    announce_channel(work, channel, "updated")
    await RoutingChanges().routing_changed(work, account_id, channel_id)
    return _shown(channel, response)


async def existing_channel(
    work: UnitOfWork, account_id: str, channel_id: str, *, lock: bool = False
) -> Channel:
    """Return a channel of an account, a deleted one too.

    Raises:
        NotFoundError: There is none.
    """
    channel = await get_channel(work.connection, account_id, channel_id, lock=lock)
    if channel is None:
        raise NotFoundError("There is no such channel.")
    return channel


async def accept_draft(
    work: UnitOfWork, account_id: str, raw: object, *, pointer_prefix: str
) -> dict[str, Any] | None:
    """Return a routing that was sent in the form in which it is read, with its defaults.

    Raises: as `RoutingRules.accept`.
    """
    if isinstance(raw, dict):
        raw = {name: value for name, value in raw.items() if name != "version"}
        if {**_NONE, **raw} == _NONE and "rule" in raw:
            raw = None
    if raw is None:
        return None
    return await RoutingRules().accept(work, account_id, raw, pointer_prefix=pointer_prefix)


def _shown(channel: Channel, response: Response) -> ChannelRouting:
    tag_version(response, channel.routing_version)
    routing = channel.routing or _NONE
    return _SHOWN.validate_python(routing | {"version": channel.routing_version})
