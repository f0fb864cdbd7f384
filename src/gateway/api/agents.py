"""Agents: people who answer, and whether they are there."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import AfterValidator, Field

from gateway.api.channel_lists import check_channel_ids
from gateway.api.filters import ChannelFilter, Search
from gateway.api.parts import Parts
from gateway.db.agents import AGENTS, Agent, list_agents
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Reference, Resource, Whole
from gateway.http.versions import IfMatch, tag_version

router = APIRouter(prefix="/v1/agents", tags=["Agents"], route_class=GatewayRoute)

PresenceState = Literal["active", "busy", "idle", "offline"]


def each_once(ids_: Sequence[str]) -> list[str]:
    """Return the ids, each one once."""
    return list(dict.fromkeys(ids_))


ChannelIds = Annotated[
    list[Reference],
    Field(max_length=1000),
    AfterValidator(each_once),
]


class AgentSettings(Body):
    """What can be set of an agent."""

    first_name: Line = Field(examples=["Ann"])
    last_name: Line | None = Field(default=None, examples=["Lee"])
    display_name: Line | None = Field(default=None, examples=["Ann from Acme"])
    capacity: Annotated[Whole, Field(ge=0, le=1000)] = Field(
        default=5, description="How many enquiries at once."
    )
    channel_ids: ChannelIds = Field(
        default=[], description="Which channels the agent serves; none named, all of them."
    )


class PresenceSettings(Body):
    """Whether an agent is there."""

    state: PresenceState = Field(description="Only who is `active` or `idle` is offered anything.")
    expires_in: Annotated[Whole, Field(ge=1, le=86_400)] | None = Field(
        default=None,
        description="Seconds after which the agent counts as offline unless this is renewed.",
    )


class Presence(Resource):
    """Whether an agent is there."""

    state: PresenceState
    changed_at: Moment | None
    expires_at: Moment | None


class AgentResource(Resource):
    """A person who answers."""

    id: str = Field(examples=["agt_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    first_name: str
    last_name: str | None
    display_name: str | None
    capacity: int
    channel_ids: list[str]
    presence: Presence
    created_at: Moment
    version: int


@router.post("", status_code=201, dependencies=[WRITE])
async def create_agent(
    body: AgentSettings, account_id: AccountId, work: Work, response: Response
) -> AgentResource:
    """Make an agent, who is offline until the first presence."""
    await check_channel_ids(work, account_id, body.channel_ids)
    agent = Agent(
        account_id=account_id,
        id=ids.new_id(ids.AGENT),
        **body.model_dump(),
        presence="offline",
        presence_changed_at=None,
        presence_expires_at=None,
        version=1,
        created_at=work.now,
        deleted_at=None,
    )
    await AGENTS.insert(work.connection, agent, now=work.now)
    return _shown(work, agent, response)


@router.get("", dependencies=[READ])
async def list_all_agents(
    account_id: AccountId,
    work: Work,
    paging: Paging,
    search: Search = None,
    channel_id: ChannelFilter = None,
) -> Page[AgentResource]:
    """List agents, the newest first."""
    place = paging.place("agents", str)
    rows = await list_agents(
        work.connection,
        account_id,
        search=search,
        channel_id=channel_id,
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "agents", lambda agent: [agent.id])
    return Page(data=[_resource(work, agent) for agent in shown], next_cursor=cursor)


@router.get("/{agent_id}", dependencies=[READ])
async def read_agent(
    agent_id: str, account_id: AccountId, work: Work, response: Response
) -> AgentResource:
    """Read an agent."""
    return _shown(work, await _existing(work, account_id, agent_id), response)


@router.patch("/{agent_id}", dependencies=[WRITE])
async def change_agent_settings(
    agent_id: str,
    body: Annotated[Patch[AgentSettings], FromBody()],
    account_id: AccountId,
    parts: Parts,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> AgentResource:
    """Change an agent."""
    agent = await _existing(work, account_id, agent_id, lock=True)
    if_match.check(agent.version)
    wanted = body.apply_to(AgentSettings.model_validate(agent, from_attributes=True))
    await check_channel_ids(work, account_id, wanted.channel_ids)
    agent = await AGENTS.change(work.connection, agent, now=work.now, **wanted.model_dump())
    await parts.routing_changes.presence_changed(work, account_id, agent_id)
    return _shown(work, agent, response)


@router.delete("/{agent_id}", status_code=204, dependencies=[WRITE])
async def delete_agent(agent_id: str, account_id: AccountId, parts: Parts, work: Work) -> None:
    """Delete an agent.

    Offers to the agent are withdrawn; ongoing enquiries stay until they are transferred or closed.
    """
    agent = await _existing(work, account_id, agent_id, lock=True)
    await AGENTS.change(
        work.connection,
        agent,
        now=work.now,
        deleted_at=work.now,
        presence="offline",
        presence_expires_at=None,
    )
    await parts.routing_changes.destination_changed(work, account_id, agent_id)


@router.put("/{agent_id}/presence", dependencies=[WRITE])
async def set_presence(
    agent_id: str, body: PresenceSettings, account_id: AccountId, parts: Parts, work: Work
) -> AgentResource:
    """Say whether an agent is there; repeat it before it expires, like a heart-beat."""
    agent = await _existing(work, account_id, agent_id, lock=True)
    expires_at = None
    if body.expires_in is not None and body.state != "offline":
        expires_at = work.now + timedelta(seconds=body.expires_in)
    changed = agent.presence_at(work.now) != body.state
    agent = await AGENTS.change(
        work.connection,
        agent,
        now=work.now,
        edited=False,
        presence=body.state,
        presence_changed_at=work.now if changed else agent.presence_changed_at,
        presence_expires_at=expires_at,
    )
    await parts.routing_changes.presence_changed(work, account_id, agent_id)
    return _resource(work, agent)


async def _existing(
    work: UnitOfWork, account_id: str, agent_id: str, *, lock: bool = False
) -> Agent:
    agent = await AGENTS.get(work.connection, account_id, agent_id, lock=lock)
    if agent is None:
        raise NotFoundError("There is no such agent.")
    return agent


def _shown(work: UnitOfWork, agent: Agent, response: Response) -> AgentResource:
    tag_version(response, agent.version)
    return _resource(work, agent)


def _resource(work: UnitOfWork, agent: Agent) -> AgentResource:
    return AgentResource(
        id=agent.id,
        first_name=agent.first_name,
        last_name=agent.last_name,
        display_name=agent.display_name,
        capacity=agent.capacity,
        channel_ids=agent.channel_ids,
        presence=Presence.model_validate(
            {
                "state": agent.presence_at(work.now),
                "changed_at": agent.presence_changed_at,
                "expires_at": agent.presence_expires_at,
            }
        ),
        created_at=agent.created_at,
        version=agent.version,
    )
