"""Teams: agents who are asked together, one way or another."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi import Body as FromBody
from pydantic import AfterValidator, Field

from gateway.api.agents import each_once
from gateway.api.filters import Search
from gateway.api.parts import Parts
from gateway.db.search import matches
from gateway.db.tables import teams
from gateway.db.teams import TEAMS, Team, find_unknown_agents
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import FieldFault, InvalidFieldsError, NotFoundError
from gateway.http.pagination import Paging
from gateway.http.patches import Patch
from gateway.http.routes import READ, WRITE, AccountId, GatewayRoute, Work
from gateway.http.schemas import Body, Line, Moment, Page, Reference, Resource, Whole
from gateway.http.versions import IfMatch, tag_version

router = APIRouter(prefix="/v1/teams", tags=["Teams"], route_class=GatewayRoute)

Distribution = Literal["simultaneous", "fixed_order", "round_robin", "most_idle"]
AgentIds = Annotated[list[Reference], Field(max_length=1000), AfterValidator(each_once)]


class TeamSettings(Body):
    """What can be set of a team."""

    name: Line = Field(examples=["Sales"])
    distribution: Distribution = Field(
        default="simultaneous",
        description=(
            "`simultaneous`: all who can are asked at once, and who accepts first has it. The "
            "others ask one at a time: in the list's order, by turns, or who has been idle longest."
        ),
    )
    agent_timeout_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = Field(
        default=30, description="How long one agent is asked, where one at a time is."
    )
    agent_ids: AgentIds = Field(default=[], description="The agents, in the order of asking.")


class TeamResource(Resource):
    """Agents who are asked together."""

    id: str = Field(examples=["tem_01kb2x5h8ve0xrn1y2z3a4b5c6"])
    name: str
    distribution: Distribution
    agent_timeout_seconds: int
    agent_ids: list[str]
    created_at: Moment
    version: int


@router.post("", status_code=201, dependencies=[WRITE])
async def create_team(
    body: TeamSettings, account_id: AccountId, work: Work, response: Response
) -> TeamResource:
    """Make a team."""
    await _check_agents(work, account_id, body.agent_ids)
    team = Team(
        account_id=account_id,
        id=ids.new_id(ids.TEAM),
        **body.model_dump(),
        version=1,
        created_at=work.now,
        deleted_at=None,
    )
    await TEAMS.insert(work.connection, team, now=work.now)
    return _shown(team, response)


@router.get("", dependencies=[READ])
async def list_all_teams(
    account_id: AccountId, work: Work, paging: Paging, search: Search = None
) -> Page[TeamResource]:
    """List teams, the newest first."""
    place = paging.place("teams", str)
    rows = await TEAMS.list(
        work.connection,
        account_id,
        *([] if search is None else [matches(teams.c.name, search)]),
        before=None if place is None else place[0],
        limit=paging.limit + 1,
    )
    shown, cursor = paging.page(rows, "teams", lambda team: [team.id])
    return Page(data=[_resource(team) for team in shown], next_cursor=cursor)


@router.get("/{team_id}", dependencies=[READ])
async def read_team(
    team_id: str, account_id: AccountId, work: Work, response: Response
) -> TeamResource:
    """Read a team."""
    return _shown(await _existing(work, account_id, team_id), response)


@router.patch("/{team_id}", dependencies=[WRITE])
async def change_team_settings(
    team_id: str,
    body: Annotated[Patch[TeamSettings], FromBody()],
    account_id: AccountId,
    parts: Parts,
    work: Work,
    if_match: IfMatch,
    response: Response,
) -> TeamResource:
    """Change a team; who joins it may be asked about what waits for it."""
    team = await _existing(work, account_id, team_id, lock=True)
    if_match.check(team.version)
    wanted = body.apply_to(TeamSettings.model_validate(team, from_attributes=True))
    joined = [each for each in wanted.agent_ids if each not in team.agent_ids]
    await _check_agents(work, account_id, wanted.agent_ids, only=joined)
    team = await TEAMS.change(work.connection, team, now=work.now, **wanted.model_dump())
    await parts.routing_changes.destination_changed(work, account_id, team_id)
    return _shown(team, response)


@router.delete("/{team_id}", status_code=204, dependencies=[WRITE])
async def delete_team(team_id: str, account_id: AccountId, parts: Parts, work: Work) -> None:
    """Delete a team; what is offered to its agents through it goes on to the next destination."""
    team = await _existing(work, account_id, team_id, lock=True)
    await TEAMS.change(work.connection, team, now=work.now, deleted_at=work.now)
    await parts.routing_changes.destination_changed(work, account_id, team_id)


async def _check_agents(
    work: UnitOfWork, account_id: str, agent_ids: list[str], *, only: list[str] | None = None
) -> None:
    # Who was deleted since may stay in the list: it is passed over.
    wanted = agent_ids if only is None else only
    unknown = await find_unknown_agents(work.connection, account_id, wanted)
    if unknown:
        faults = [
            FieldFault(f"/agent_ids/{place}", "unknown-agent", "There is no such agent.")
            for place, agent_id in enumerate(agent_ids)
            if agent_id in unknown
        ]
        raise InvalidFieldsError("Some of the agents do not exist.", faults=faults)


async def _existing(work: UnitOfWork, account_id: str, team_id: str, *, lock: bool = False) -> Team:
    team = await TEAMS.get(work.connection, account_id, team_id, lock=lock)
    if team is None:
        raise NotFoundError("There is no such team.")
    return team


def _shown(team: Team, response: Response) -> TeamResource:
    tag_version(response, team.version)
    return _resource(team)


def _resource(team: Team) -> TeamResource:
    return TeamResource.model_validate(team, from_attributes=True)
