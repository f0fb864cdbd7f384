"""The REST of looking into a channel that does not do what it should."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.api.diagnosing import diagnose
from gateway.api.parts import Parts
from gateway.contracts.resources import ChannelStatusName
from gateway.http.routes import READ, AccountId, GatewayRoute, Glances
from gateway.http.schemas import Moment, Resource

router = APIRouter(prefix="/v1/channels", tags=["Channels"], route_class=GatewayRoute)


class ChannelCheck(Resource):
    """One thing that was looked at."""

    check: str = Field(
        description="Of a Page: `page_published`, `page_restricted`, `page_under_review`, "
        "`message_access`, `permission.<name>`, `token`, `subscription`, `last_webhook`, "
        "`thread_owner`, `window`, `destinations`, `business_integration`, `connected_by_hand`. "
        "Of a third party: `webhook_target`, `challenge`, `token`, `last_webhook`, `destinations`.",
        examples=["permission.pages_messaging"],
    )
    result: Literal["ok", "warning", "failed", "unknown"] = Field(
        description="`warning`: it works for now, or in part. `unknown`: it could not be told."
    )
    seen: str = Field(description="What was seen.", examples=["The Page is not published."])
    remedy: str | None = Field(
        description="What to do about it; null where nothing is wrong.",
        examples=["Publish the Page in its settings.", None],
    )


class ChannelDiagnosis(Resource):
    """How a channel is, check by check."""

    checked_at: Moment
    channel_status: ChannelStatusName = Field(description="As it is after the diagnosis.")
    checks: list[ChannelCheck]


@router.get("/{channel_id}/diagnosis", dependencies=[READ])
async def diagnose_channel(
    channel_id: str, account_id: AccountId, parts: Parts, exchange: Glances
) -> ChannelDiagnosis:
    """Look into a channel: what may keep it from working, what was seen, and what to do.

    Meta is asked about the Page, or the third party's address challenged; what that shows becomes
    the channel's status, as after a probe. Where Meta does not answer, what it was to tell is
    `unknown`.
    """
    found = await diagnose(exchange, parts, account_id, channel_id)
    return ChannelDiagnosis(
        checked_at=found.at,
        channel_status=found.status.value,
        checks=[
            ChannelCheck(
                check=each.check, result=each.result.value, seen=each.seen, remedy=each.remedy
            )
            for each in found.checks
        ],
    )
