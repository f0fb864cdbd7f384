"""The REST of enquiries; with it, that of channels' routings."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from gateway.contracts.resources import Assignment, EnquiryStatusName, Moment, Resource
from gateway.contracts.resources import Enquiry as EnquiryResource
from gateway.errors import NotFoundError
from gateway.http.auth import Principal
from gateway.http.pagination import Paging
from gateway.http.routes import READ, WRITE, AccountId, Caller, GatewayRoute, Work
from gateway.http.schemas import Body, Page, Reference
from routing import commands, routing_api
from routing.enquiries import Actor, Enquiry
from routing.listing import EnquiryFilter, list_enquiries
from routing.reports import api as reports_api
from routing.repository import get_enquiries, get_timeline
from routing.resources import enquiry_resource, explained_assignment, timeline_resource
from routing.trials import api as trials

router = APIRouter(route_class=GatewayRoute)
router.include_router(routing_api.router)
router.include_router(trials.router)
router.include_router(reports_api.router)

_IdFilter = Annotated[str | None, Query(max_length=100)]


class ByAgent(Body):
    """Who does it."""

    agent_id: Reference = Field(examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6"])


class PerhapsByAgent(Body):
    """Who does it, where it is an agent."""

    agent_id: Reference | None = Field(
        default=None, examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6", None]
    )


class Transfer(Body):
    """Who shall have it."""

    destination_id: Reference = Field(examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6"])


class TimelineLine(Resource):
    """Something that happened to an enquiry."""

    sequence: int = Field(description="The number of the event that told of it.")
    at: Moment
    type: str = Field(
        description="As in the event's type: `opened`, `offered`, `accepted`, …",
        examples=["accepted"],
    )
    actor: dict[str, Any] = Field(
        description="Who did it.", examples=[{"kind": "agent", "id": "agt_…"}, {"kind": "system"}]
    )
    data: dict[str, Any] = Field(default_factory=dict)


class ExplainedAssignment(Assignment):
    """How the routing came to its choice, in words as well."""

    explanation: list[str] = Field(
        description="One sentence after another.",
        examples=[["Ann Lee was busy.", "Sales was the first of the list that could be asked."]],
    )


class EnquiryWithTimeline(EnquiryResource):
    """One matter in a conversation, with all that happened to it."""

    assignment: ExplainedAssignment | None = None  # type: ignore[mutable-override]  # only shown
    timeline: list[TimelineLine]


@router.get("/v1/enquiries", tags=["Enquiries"], dependencies=[READ])
async def list_all_enquiries(
    account_id: AccountId,
    work: Work,
    paging: Paging,
    status: EnquiryStatusName | None = None,
    channel_id: _IdFilter = None,
    destination_id: Annotated[
        str | None, Query(max_length=100, description="Who has it, or is asked.")
    ] = None,
    agent_id: _IdFilter = None,
    contact_id: _IdFilter = None,
    opened_after: Annotated[
        AwareDatetime | None, Query(description="Opened then or later.")
    ] = None,
    opened_before: Annotated[AwareDatetime | None, Query(description="Opened earlier.")] = None,
) -> Page[EnquiryResource]:
    """List enquiries, the newest first."""
    place = paging.place("enquiries", datetime, str)
    rows = await list_enquiries(
        work.connection,
        account_id,
        EnquiryFilter(
            status=status,
            channel_id=channel_id,
            destination_id=destination_id,
            agent_id=agent_id,
            contact_id=contact_id,
            opened_after=opened_after,
            opened_before=opened_before,
        ),
        before=place,
        limit=paging.limit + 1,
    )
    enquiries, cursor = paging.page(
        rows, "enquiries", lambda enquiry: [enquiry.opened_at.isoformat(), enquiry.id]
    )
    return Page(data=[_shown(enquiry) for enquiry in enquiries], next_cursor=cursor)


@router.get("/v1/enquiries/{enquiry_id}", tags=["Enquiries"], dependencies=[READ])
async def read_enquiry(enquiry_id: str, account_id: AccountId, work: Work) -> EnquiryWithTimeline:
    """Read an enquiry, with all that happened to it."""
    found = await get_enquiries(work.connection, account_id, [enquiry_id])
    enquiry = found.get(enquiry_id)
    if enquiry is None:
        raise NotFoundError("There is no such enquiry.")
    shown = enquiry_resource(enquiry) | {
        "assignment": explained_assignment(enquiry),
        "timeline": timeline_resource(await get_timeline(work.connection, account_id, enquiry_id)),
    }
    return EnquiryWithTimeline.model_validate(shown)


@router.post("/v1/enquiries/{enquiry_id}/accept", tags=["Enquiries"], dependencies=[WRITE])
async def accept_enquiry(
    enquiry_id: str, body: ByAgent, account_id: AccountId, work: Work
) -> EnquiryResource:
    """Let an agent take an enquiry that is open or offered, to this agent or another."""
    return _shown(await commands.accept(work, account_id, enquiry_id, agent_id=body.agent_id))


@router.post("/v1/enquiries/{enquiry_id}/reject", tags=["Enquiries"], dependencies=[WRITE])
async def reject_enquiry(
    enquiry_id: str, body: ByAgent, account_id: AccountId, work: Work
) -> EnquiryResource:
    """Let an agent refuse an offer; the next destination is asked."""
    return _shown(await commands.reject(work, account_id, enquiry_id, agent_id=body.agent_id))


@router.post("/v1/enquiries/{enquiry_id}/transfer", tags=["Enquiries"], dependencies=[WRITE])
async def transfer_enquiry(
    enquiry_id: str, body: Transfer, account_id: AccountId, caller: Caller, work: Work
) -> EnquiryResource:
    """Offer an enquiry to another agent, or hand it over to an endpoint."""
    return _shown(
        await commands.transfer(
            work,
            account_id,
            enquiry_id,
            destination_id=body.destination_id,
            actor=_actor(caller),
        )
    )


@router.post("/v1/enquiries/{enquiry_id}/close", tags=["Enquiries"], dependencies=[WRITE])
async def close_enquiry(
    enquiry_id: str,
    account_id: AccountId,
    caller: Caller,
    work: Work,
    body: PerhapsByAgent | None = None,
) -> EnquiryResource:
    """End an enquiry."""
    agent_id = None if body is None else body.agent_id
    return _shown(
        await commands.close(
            work, account_id, enquiry_id, agent_id=agent_id, actor=_actor(caller, agent_id)
        )
    )


@router.post("/v1/enquiries/{enquiry_id}/reopen", tags=["Enquiries"], dependencies=[WRITE])
async def reopen_enquiry(
    enquiry_id: str,
    account_id: AccountId,
    caller: Caller,
    work: Work,
    body: PerhapsByAgent | None = None,
) -> EnquiryResource:
    """Let a closed or missed enquiry begin anew; who served the contact last is asked first."""
    agent_id = None if body is None else body.agent_id
    return _shown(
        await commands.reopen(
            work, account_id, enquiry_id, agent_id=agent_id, actor=_actor(caller, agent_id)
        )
    )


@router.post("/v1/enquiries/{enquiry_id}/follow-up", tags=["Enquiries"], dependencies=[WRITE])
async def follow_enquiry_up(
    enquiry_id: str,
    account_id: AccountId,
    caller: Caller,
    work: Work,
    body: PerhapsByAgent | None = None,
) -> EnquiryResource:
    """Note that somebody came back to a contact whose enquiry was missed."""
    agent_id = None if body is None else body.agent_id
    return _shown(
        await commands.follow_up(
            work, account_id, enquiry_id, agent_id=agent_id, actor=_actor(caller, agent_id)
        )
    )


def _actor(principal: Principal, agent_id: str | None = None) -> Actor:
    return Actor("api", principal.key_id) if agent_id is None else Actor("agent", agent_id)


def _shown(enquiry: Enquiry) -> EnquiryResource:
    return EnquiryResource.model_validate(enquiry_resource(enquiry))
