"""Finds somebody for an enquiry: reads the facts under lock, decides, and does what was decided."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.engine import Destination, Facts, GiveTo, Miss, OfferTo, Wait, decide
from routing.enquiries import Enquiry
from routing.held import HeldEnquiry
from routing.parties import Agent, find_endpoints, find_loads, lock_account, lock_agents
from routing.repository import get_enquiries
from routing.rules import DEFAULT_TIMEOUT_SECONDS, Routing
from routing.waiting import find_waiting, tell_first_queued, tell_waiting


@dataclass(frozen=True, slots=True)
class Parties:
    """Everybody whom a move may concern, locked: the account, and agents by id."""

    contacts_limit: int
    agents: dict[str, Agent]


async def hold(
    work: UnitOfWork, conversation: Conversation, channel: Channel, enquiry_id: str
) -> HeldEnquiry | None:
    """Return an enquiry of a locked conversation, ready to be moved."""
    found = await get_enquiries(work.connection, conversation.account_id, [enquiry_id])
    row = found.get(enquiry_id)
    return None if row is None else HeldEnquiry(work, conversation, channel, row)


async def hold_latest(work: UnitOfWork, conversation: Conversation) -> HeldEnquiry | None:
    """Return a locked conversation's latest enquiry, ready to be moved."""
    if conversation.enquiry_id is None:
        return None
    channel = await get_channel(work.connection, conversation.account_id, conversation.channel_id)
    if channel is None:
        return None
    return await hold(work, conversation, channel, conversation.enquiry_id)


async def lock_parties(held: HeldEnquiry, *further: str) -> Parties:
    """Lock the account and every agent whom a move of this enquiry may concern, in that order."""
    connection, account_id = held.work.connection, held.row.account_id
    limit = await lock_account(connection, account_id)
    wanted = {offer.agent_id for offer in held.row.pending_offers} | set(further)
    wanted |= set(_agents_of(_candidates(held)))
    if held.row.agent_id is not None:
        wanted.add(held.row.agent_id)
    return Parties(limit, await lock_agents(connection, account_id, wanted))


async def route(held: HeldEnquiry, parties: Parties) -> None:
    """Decide about an enquiry that waits, and do what was decided.

    Where no routing is configured, it goes on waiting until somebody accepts it.
    """
    if not held.waits:
        return
    linked = await _linked_endpoint(held)
    if linked is not None:
        held.row.assignment = _linked_assignment(held, linked)
        held.give(linked)
    elif held.routing is not None:
        await _follow(held, held.routing, parties)


async def conclude(held: HeldEnquiry, parties: Parties) -> None:
    """Write what was moved, and tell others of the room that it left."""
    await held.save()
    if held.frees_place:
        await tell_first_queued(held.work, held.row.account_id)
    freed = [
        parties.agents[agent_id]
        for agent_id in sorted(held.freed_agents)
        if agent_id in parties.agents
    ]
    await offer_room(held.work, held.row.account_id, freed)


async def offer_room(work: UnitOfWork, account_id: str, agents: Iterable[Agent]) -> None:
    """Have as many enquiries considered as these agents, who are locked, have room for."""
    for agent in agents:
        if not agent.can_be_asked(work.now):
            continue
        # Most of the time nobody waits, and how much the agent has does not matter.
        waiting = await find_waiting(
            work.connection,
            account_id,
            agent.id,
            channel_ids=agent.channel_ids,
            limit=agent.capacity,
        )
        if waiting:
            loads = await find_loads(work.connection, account_id, [agent.id])
            room = max(0, agent.capacity - loads.get(agent.id, 0))
            await tell_waiting(work, account_id, agent.id, waiting[:room])


async def has_room(held: HeldEnquiry, agent: Agent) -> bool:
    """Say whether an agent, who is locked, has room for this enquiry."""
    loads = await find_loads(
        held.work.connection, held.row.account_id, [agent.id], besides=held.row.id
    )
    return loads.get(agent.id, 0) < agent.capacity


def timeout_of(held: HeldEnquiry, destination_id: str) -> timedelta:
    """Return how long an offer to a destination of the channel's routing, or any other, stands."""
    if held.routing is None:
        return timedelta(seconds=DEFAULT_TIMEOUT_SECONDS)
    return held.routing.timeout_of(destination_id)


def as_destination(destination: Destination) -> dict[str, Any]:
    """Return a destination as an enquiry names it."""
    kind = "agent" if ids.is_id(ids.AGENT, destination.id) else "endpoint"
    return {"id": destination.id, "kind": kind, "name": destination.name}


async def _follow(held: HeldEnquiry, routing: Routing, parties: Parties) -> None:
    if held.row.progress.since is None:
        held.row.progress.since = held.work.now
    decision = decide(await _facts(held, parties), routing)
    held.row.assignment = decision.as_json(routing_version=held.channel.routing_version)
    match decision.outcome:
        case OfferTo(destination, agent_ids, timeout):
            held.offer(as_destination(destination), agent_ids, timeout)
        case GiveTo(destination):
            held.give(as_destination(destination))
        case Wait():
            pass
        case Miss(reason):
            held.miss(reason)


async def _facts(held: HeldEnquiry, parties: Parties) -> Facts:
    candidates = _candidates(held)
    connection, account_id = held.work.connection, held.row.account_id
    agent_ids = _agents_of(candidates)
    loads = await find_loads(connection, account_id, agent_ids, besides=held.row.id)
    endpoints = await find_endpoints(
        connection, account_id, [each for each in candidates if ids.is_id(ids.ENDPOINT, each)]
    )
    agents = {
        agent.id: agent.facts(
            channel_id=held.channel.id, at=held.work.now, load=loads.get(agent.id, 0)
        )
        for agent_id in agent_ids
        if (agent := parties.agents.get(agent_id)) is not None and agent.deleted_at is None
    }
    return Facts(
        at=held.work.now,
        destinations={**agents, **endpoints},
        tried=held.row.progress.tried,
        first=held.row.progress.first,
    )


def _candidates(held: HeldEnquiry) -> list[str]:
    listed = [] if held.routing is None else held.routing.destination_ids
    first = held.row.progress.first
    return listed if first is None or first in listed else [first, *listed]


def _agents_of(destination_ids: Iterable[str]) -> list[str]:
    return [each for each in destination_ids if ids.is_id(ids.AGENT, each)]


async def _linked_endpoint(held: HeldEnquiry) -> dict[str, Any] | None:
    link = held.channel.link
    if link.get("mode") != "external_endpoint":
        return None
    endpoint_id = link["endpoint_id"]
    found = await find_endpoints(held.work.connection, held.row.account_id, [endpoint_id])
    return None if endpoint_id not in found else as_destination(found[endpoint_id])


def _linked_assignment(held: HeldEnquiry, endpoint: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule": "external_endpoint",
        "routing_version": held.channel.routing_version,
        "inputs": {},
        "considered": [{"destination_id": endpoint["id"], "taken": True, "reason": "available"}],
    }


def new_enquiry(conversation: Conversation, channel: Channel, **given: Any) -> Enquiry:  # noqa: ANN401 - fields
    """Return the row of an enquiry that a conversation of a channel begins."""
    custom_info = channel.custom_info
    return Enquiry(
        account_id=conversation.account_id,
        id=ids.new_id(ids.ENQUIRY),
        channel_id=channel.id,
        conversation_id=conversation.id,
        contact_id=conversation.contact_id,
        custom_info=custom_info.get("text") if custom_info.get("enabled") else None,
        **given,
    )
