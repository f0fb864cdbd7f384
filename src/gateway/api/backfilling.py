"""Back-fill: fetching what was said in a Page's threads and no webhook told."""

from typing import Annotated

from fastapi import APIRouter
from fastapi import Body as FromBody
from pydantic import AwareDatetime, Field

from gateway.api.channel_resources import existing_channel
from gateway.api.refusals import refuse_channel
from gateway.domain.channel import ChannelStatus
from gateway.errors import ConflictError, FieldFault, NotSupportedByChannelError
from gateway.http.routes import WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Body, Moment, Resource
from gateway.messaging.backfill import can_be_backfilled, request_backfill

router = APIRouter(
    prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute, dependencies=[WRITE]
)


class NewBackfill(Body):
    """From when on."""

    since: AwareDatetime | None = Field(
        default=None,
        description=(
            "At most seven days ago; without, an hour before anything was last said here."
        ),
    )


class BackfillResource(Resource):
    """A back-fill that was asked for."""

    channel_id: str = Field(examples=["chn_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    since: Moment = Field(description="What was said from then on is looked for.")


@router.post("/{channel_id}/backfill", status_code=202)
async def start_backfill(
    channel_id: str,
    account_id: AccountId,
    work: Work,
    body: Annotated[NewBackfill | None, FromBody()] = None,
) -> BackfillResource:
    """Fetch from Meta what was said and no webhook told, and apply it once.

    It happens by itself when a channel works again. Of each thread Meta shows the newest 20
    messages. What is found is marked `late`; older messages move no enquiry, newer ones that nobody
    has answered open one, without a welcome. One that runs begins anew.
    """
    channel = await existing_channel(work, account_id, channel_id, lock=True)
    refuse_channel(channel)
    if not can_be_backfilled(channel):
        detail = "Only Meta keeps conversations that can be read."
        raise NotSupportedByChannelError(detail, faults=[FieldFault("", "not-supported", detail)])
    if channel.status is ChannelStatus.DISCONNECTED:
        raise ConflictError("The channel is disconnected; it is fetched when it works again.")
    since = await request_backfill(work, channel, since=None if body is None else body.since)
    return BackfillResource(channel_id=channel.id, since=since)
