"""The REST that tries a channel's routing: one enquiry to come, or those of the past."""

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from gateway.contracts.moments import rfc3339
from gateway.contracts.resources import Considered, EnquiryStatusName, Moment, Resource
from gateway.contracts.routings import RoutingAsSent
from gateway.db.channels import Channel
from gateway.db.unit_of_work import UnitOfWork
from gateway.errors import FieldFault, InvalidFieldsError
from gateway.http.exchange import Exchange
from gateway.http.faults import pointer_to
from gateway.http.routes import READ, AccountId, GatewayRoute, Glances, Work
from gateway.http.schemas import Body, Reference
from routing.destinations import Presence
from routing.engine import Facts
from routing.enquiries import EnquiryStatus
from routing.explanation import explain_course
from routing.routing_api import accept_draft, existing_channel
from routing.rules import NO_RULE, Routing, routing_of
from routing.simulation import simulate
from routing.trials.past import Period, opening_of, read_past
from routing.trials.picture import (
    UnknownContactError,
    find_expected,
    find_unknown_agents,
    read_balances,
    read_destinations,
)
from routing.trials.replay import Replay

router = APIRouter(tags=["Routing"], route_class=GatewayRoute)

MOST_REPLAYED: Final = 10_000
# So many are read and played before others have their turn.
_A_PART: Final = 100
# Calendars know little of the holidays of other centuries.
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2099, 12, 31, tzinfo=UTC)

_NO_AGENT: Final = "There is no such agent."
# Without a routing nothing ends the waiting; what would be asked at first is told all the same.
_NO_RULE: Final = replace(NO_RULE, waiting_limit=timedelta(days=1))

_At = Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)]


class Trial(Body):
    """An enquiry to come, and how things would stand."""

    routing: RoutingAsSent | None = Field(
        default=None, description="A draft; without it, the channel's own routing is tried."
    )
    at: _At | None = Field(
        default=None, description="When the enquiry would come; now, without it."
    )
    presence: dict[str, Literal["active", "busy", "idle", "offline"]] = Field(
        default={},
        description="The presence of agents, by their ids; others are as they are now.",
        examples=[{"agt_01kb2x5h8ve0xrn1y2z3a4b5c6": "active"}],
    )
    contact_id: Reference | None = Field(
        default=None,
        description="Whose enquiry it would be: who served the contact is asked first.",
    )


class TrialStep(Resource):
    """Somebody would be asked, or take it."""

    after_seconds: int
    destination_id: str
    agent_ids: list[str] = Field(description="Empty where a bot or an endpoint takes it.")


class TrialResult(Resource):
    """What would happen to an enquiry, if nobody came, went or answered meanwhile."""

    rule: str | None = Field(description="Null: no routing.")
    at: Moment
    hours: str | None = Field(None, description="What a timetable calls the list that holds.")
    considered: list[Considered] = Field(description="At the moment when it comes.")
    steps: list[TrialStep] = Field(description="Who would be asked, one after another.")
    outcome: EnquiryStatusName = Field(
        description="`ongoing` where a bot or an endpoint takes it; `open` without a routing."
    )
    reason: str | None = Field(
        None, description="Why it would be missed.", examples=["nobody_took_it", None]
    )
    explanation: list[str] = Field(description="The same in words.")


class PastTrial(Body):
    """A draft, and the time whose enquiries are played through it."""

    routing: RoutingAsSent
    begins: _At = Field(alias="from", description="Enquiries that were opened then or later.")
    ends: _At = Field(alias="to", description="Enquiries that were opened earlier.")


class DestinationDifference(Resource):
    """How many of the enquiries a destination had, and how many the draft would give it first."""

    destination_id: str | None = Field(description="Null: nobody.")
    was: int
    would_be: int
    assumed: int = Field(
        description="How many of `would_be` rest on the guess that it was available: the decision "
        "of that time did not look at it."
    )


class PastTrialResult(Resource):
    """What a draft would have made of past enquiries."""

    enquiries: int
    by_destination: list[DestinationDifference]


@router.post("/v1/channels/{channel_id}/routing/simulate", dependencies=[READ])
async def simulate_routing(
    channel_id: str, body: Trial, account_id: AccountId, work: Work
) -> TrialResult:
    """Tell what would happen to an enquiry, step by step; nothing happens."""
    channel = await existing_channel(work, account_id, channel_id)
    stored = channel.routing
    drafted = "routing" in body.model_fields_set
    if drafted:
        stored = await accept_draft(work, account_id, body.routing, pointer_prefix="/routing")
    routing = routing_of(stored)
    await _require_agents(work, account_id, body.presence)
    facts = await _facts(work, channel, routing or _NO_RULE, body, drafted=drafted)
    course = simulate(facts, routing or _NO_RULE)
    mode = channel.link.get("mode", "chat")
    return TrialResult.model_validate(
        {
            "rule": None if routing is None else routing.rule,
            "at": facts.at,
            "hours": course.first.inputs.get("hours"),
            "considered": course.first.as_json(routing_version=0)["considered"],
            "steps": [step.as_json() for step in course.steps],
            "outcome": EnquiryStatus.OPEN if routing is None else course.outcome,
            "reason": None if routing is None else course.reason,
            "explanation": explain_course(
                course, routing_version=None if drafted else channel.routing_version, link_mode=mode
            ),
        }
    )


@router.post("/v1/channels/{channel_id}/routing/replay", dependencies=[READ])
async def replay_routing(
    channel_id: str, body: PastTrial, account_id: AccountId, exchange: Glances
) -> PastTrialResult:
    """Tell where a draft would have led past enquiries, as far as is known how things stood then.

    What each one's assignment saw at its moment counts, and who did not take it then does not take
    it in the draft. A destination that was not looked at then is taken for available. `was` counts
    who had it in the end; null is nobody.
    """
    if body.ends <= body.begins:
        detail = "Give a later moment than `from`."
        raise InvalidFieldsError(detail, faults=[FieldFault("/to", "too-early", detail)])
    async with exchange.glance() as work:
        channel = await existing_channel(work, account_id, channel_id)
        period = Period(
            account_id=account_id, channel_id=channel.id, begins=body.begins, ends=body.ends
        )
        stored = await accept_draft(work, account_id, body.routing, pointer_prefix="/routing")
        routing = routing_of(stored)
        if routing is None:
            detail = "Give a draft to replay."
            raise InvalidFieldsError(detail, faults=[FieldFault("/routing", "missing", detail)])
        await _require_few(work, period)
        replay = Replay(
            routing,
            await read_destinations(
                work.connection, channel, routing.destination_ids, at=work.now, presence={}
            ),
        )
    await _play(exchange, period, replay)
    return PastTrialResult(
        enquiries=replay.enquiries,
        by_destination=[
            DestinationDifference.model_validate(asdict(each)) for each in replay.differences()
        ],
    )


async def _play(exchange: Exchange, period: Period, replay: Replay) -> None:
    place = None
    while True:
        async with exchange.glance() as work:
            past, place = await read_past(work.connection, period, after=place, limit=_A_PART)
        for enquiry in past:
            replay.play(enquiry)
        if place is None:
            return


async def _require_few(work: UnitOfWork, period: Period) -> None:
    beyond = await opening_of(work.connection, period, MOST_REPLAYED)
    if beyond is not None:
        detail = (
            f"More than {MOST_REPLAYED:,} enquiries were opened in this time; replay at most those "
            f"before {rfc3339(beyond)}, and the others by themselves."
        )
        raise InvalidFieldsError(detail, faults=[FieldFault("/to", "too-many", detail)])


async def _require_agents(work: UnitOfWork, account_id: str, presence: Collection[str]) -> None:
    unknown = await find_unknown_agents(work.connection, account_id, presence)
    if unknown:
        raise InvalidFieldsError(
            "The presence is of agents that do not exist.",
            faults=[
                FieldFault(pointer_to(["presence", each], None), "unknown-agent", _NO_AGENT)
                for each in unknown
            ],
        )


async def _facts(
    work: UnitOfWork, channel: Channel, routing: Routing, body: Trial, *, drafted: bool
) -> Facts:
    at = body.at or work.now
    first = None
    if body.contact_id is not None:
        first = await _expected(work, channel, body.contact_id, routing, at=at)
    return Facts(
        at=at,
        destinations=await read_destinations(
            work.connection,
            channel,
            list(filter(None, (first, *routing.destination_ids))),
            # How those stand who are not named is known of now alone.
            at=work.now,
            presence={each: Presence(state) for each, state in body.presence.items()},
        ),
        first=first,
        # Shares are counted anew with every change of the routing.
        balances={} if drafted else await read_balances(work.connection, channel),
    )


async def _expected(
    work: UnitOfWork, channel: Channel, contact_id: str, routing: Routing, *, at: datetime
) -> str | None:
    try:
        return await find_expected(work.connection, channel, contact_id, routing, at=at)
    except UnknownContactError:
        detail = "The channel has no such contact."
        raise InvalidFieldsError(
            detail, faults=[FieldFault("/contact_id", "unknown-contact", detail)]
        ) from None
