"""Reads who could take an enquiry, for those who only want to know: no lock, no effect."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db.channels import Channel
from gateway.domain import ids
from routing.destinations import AgentFacts, Destination, Presence
from routing.parties import Agent, find_bots, find_endpoints, find_loads
from routing.rules import Routing
from routing.teams import Team, find_teams
from routing.turns import find_turns

_AGENTS: Final = text(
    """
    SELECT account_id, id, first_name, last_name, display_name, presence, presence_expires_at,
           capacity, channel_ids, last_enquiry_ended_at, deleted_at
    FROM agents WHERE account_id = :account_id AND id = ANY(:ids) AND deleted_at IS NULL
    """
)
_EXPECTED: Final = text(
    """
    SELECT c.engaged_agent_id, e.agent_id, e.closed_at
    FROM contacts p
    LEFT JOIN conversations c ON c.account_id = p.account_id AND c.contact_id = p.id
    LEFT JOIN enquiries e ON e.account_id = c.account_id AND e.id = c.enquiry_id
    WHERE p.account_id = :account_id AND p.id = :contact_id AND p.channel_id = :channel_id
    """
)


class UnknownContactError(Exception):
    """The channel has no such contact."""


async def read_destinations(
    connection: AsyncConnection,
    channel: Channel,
    wanted: Collection[str],
    *,
    at: datetime,
    presence: Mapping[str, Presence],
) -> dict[str, Destination]:
    """Return those destinations that exist, by id, as a decision about a new enquiry sees them.

    Args:
        connection: Of a transaction that need not hold any lock.
        channel: Whose enquiry it would be.
        wanted: Destinations of any kind.
        at: Heartbeats that have run out by then count as offline.
        presence: Of agents, in place of what they themselves said.
    """
    account_id = channel.account_id
    named = {
        kind: [(account_id, each) for each in wanted if ids.is_id(kind, each)]
        for kind in (ids.AGENT, ids.TEAM, ids.BOT, ids.ENDPOINT)
    }
    teams = await find_teams(connection, named[ids.TEAM])
    members = {each for team in teams.values() for each in team.agent_ids}
    agents = await _agents(
        connection, channel, members.union(each for _, each in named[ids.AGENT]), at=at
    )
    agents |= {
        agent_id: replace(agents[agent_id], presence=state)
        for agent_id, state in presence.items()
        if agent_id in agents
    }
    turns = await find_turns(connection, named[ids.TEAM])
    found: dict[str, Destination] = {
        team.id: _team(team, agents, last_asked=turns[account_id, team.id].last_asked)
        for team in teams.values()
    }
    found |= {each: agents[each] for _, each in named[ids.AGENT] if each in agents}
    found |= await find_bots(connection, named[ids.BOT])
    return found | await find_endpoints(connection, named[ids.ENDPOINT])


async def find_unknown_agents(
    connection: AsyncConnection, account_id: str, agent_ids: Collection[str]
) -> list[str]:
    """Return those ids that are of no agent of the account."""
    given = [each for each in agent_ids if ids.is_id(ids.AGENT, each)]
    rows = await connection.execute(_AGENTS, {"account_id": account_id, "ids": given})
    known = {row.id for row in rows}
    return [each for each in agent_ids if each not in known]


async def read_balances(connection: AsyncConnection, channel: Channel) -> Mapping[str, int]:
    """Return who is due how much by the shares of a channel's present routing."""
    subject = (channel.account_id, channel.id)
    turns = await find_turns(connection, [subject])
    return turns[subject].balances_of(channel.routing_version)


async def find_expected(
    connection: AsyncConnection,
    channel: Channel,
    contact_id: str,
    routing: Routing,
    *,
    at: datetime,
) -> str | None:
    """Return the agent who would be asked first about a new enquiry of a contact.

    That is who wrote to the contact first, else, where the routing is sticky, who served the
    contact's last enquiry, if it ended recently.

    Raises:
        UnknownContactError: The contact is not of this channel.
    """
    wanted = {
        "account_id": channel.account_id,
        "channel_id": channel.id,
        "contact_id": contact_id,
    }
    row = (await connection.execute(_EXPECTED, wanted)).one_or_none()
    if row is None:
        raise UnknownContactError
    expected: str | None = row.engaged_agent_id
    if expected is None and row.closed_at is not None and routing.sticky_for is not None:
        expected = row.agent_id if at < row.closed_at + routing.sticky_for else None
    return expected


async def _agents(
    connection: AsyncConnection, channel: Channel, agent_ids: Collection[str], *, at: datetime
) -> dict[str, AgentFacts]:
    account_id = channel.account_id
    rows = await connection.execute(_AGENTS, {"account_id": account_id, "ids": list(agent_ids)})
    agents = [Agent(**row) for row in rows.mappings()]
    loads = await find_loads(connection, [(account_id, agent.id) for agent in agents])
    return {
        agent.id: agent.facts(channel_id=channel.id, at=at, load=loads[agent.id])
        for agent in agents
    }


def _team(team: Team, agents: Mapping[str, AgentFacts], *, last_asked: str | None) -> Destination:
    members = [agents[each] for each in team.agent_ids if each in agents]
    return team.facts(members, last_asked=last_asked)
