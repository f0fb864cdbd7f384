"""REST of a channel's routing: who is asked, in which order, for how long."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from gateway.db.channel_writes import change_channel
from gateway.db.channels import Channel, get_channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelStatus
from gateway.errors import ChannelDeletedError, NotFoundError
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Resource
from gateway.http.versions import IfMatch, tag_version
from gateway.messaging.channel_events import announce_channel
from routing.acceptance import RoutingRules
from routing.changes import RoutingChanges

router = APIRouter(
    prefix="/v1/channels/{channel_id}/routing", tags=["Routing"], route_class=GatewayRoute
)

_EXAMPLE = {
    "rule": "alternative",
    "destinations": [{"id": "agt_01kb2x5h8ve0xrn1y2z3a4b5c6", "timeout_seconds": 60}],
    "waiting_limit_seconds": 300,
}


class RoutingResource(Resource):
    """A channel's routing; null: enquiries stay open until somebody takes them."""

    routing: dict[str, Any] | None = Field(examples=[_EXAMPLE])
    version: int = Field(description="Of the routing alone; `If-Match` compares it.")


@router.get("", dependencies=[READ], summary="Read a channel's routing")
async def read_routing(
    channel_id: str, account_id: AccountId, work: Work, response: Response
) -> RoutingResource:
    """Return how enquiries of the channel are routed."""
    return _resource(await _existing(work, account_id, channel_id), response)


async def put_routing(
    channel_id: str,
    request: Request,
    account_id: AccountId,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> RoutingResource:
    """Replace how enquiries of the channel are routed; what waits is considered anew.

    Destinations are reordered by putting the list in the wanted order. `null` takes the routing
    away. Pointers of faults are relative to the body.
    """
    raw = await request.json()
    channel = await _existing(work, account_id, channel_id, lock=True)
    if channel.status is ChannelStatus.DELETED:
        raise ChannelDeletedError("The channel is deleted; its history stays readable.")
    if_match.check(channel.routing_version)
    routing = None
    if raw is not None:
        routing = await RoutingRules().accept(work, account_id, raw, pointer_prefix="")
    if routing != channel.routing:
        channel = await change_channel(
            work.connection,
            channel,
            now=work.now,
            routing=routing,
            routing_version=channel.routing_version + 1,
        )
        announce_channel(work, channel, "updated")
        await RoutingChanges().routing_changed(work, account_id, channel_id)
    return _resource(channel, response)


router.add_api_route(
    "",
    put_routing,
    methods=["PUT"],
    dependencies=[WRITE],
    summary="Set a channel's routing",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": ["object", "null"]},
                    "example": _EXAMPLE,
                }
            },
        }
    },
)


async def _existing(
    work: UnitOfWork, account_id: str, channel_id: str, *, lock: bool = False
) -> Channel:
    channel = await get_channel(work.connection, account_id, channel_id, lock=lock)
    if channel is None:
        raise NotFoundError("There is no such channel.")
    return channel


def _resource(channel: Channel, response: Response) -> RoutingResource:
    tag_version(response, channel.routing_version)
    return RoutingResource(routing=channel.routing, version=channel.routing_version)
