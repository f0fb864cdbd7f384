"""Finds somebody for an enquiry: reads the facts under lock, decides, and does what was decided."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from routing.destinations import Destination, Tried
from routing.engine import Facts, GiveTo, Miss, OfferTo, Wait, decide
from routing.enquiries import Enquiry
from routing.entries import DEFAULT_TIMEOUT
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.parties import Agent
from routing.rules import Routing, routing_of

_LINKED: Final = "external_endpoint"


async def hold(
    hall: Hall, conversation: Conversation, channel: Channel, enquiry_id: str
) -> HeldEnquiry | None:
    """Return an enquiry of a locked conversation, ready to be moved."""
    row = await hall.enquiry(conversation.account_id, enquiry_id)
    return None if row is None else HeldEnquiry(hall, conversation, channel, row)


async def hold_latest(work: UnitOfWork, conversation: Conversation) -> HeldEnquiry | None:
    """Return a locked conversation's latest enquiry, ready to be moved alone."""
    if conversation.enquiry_id is None:
        return None
    channel = await get_channel(work.connection, conversation.account_id, conversation.channel_id)
    if channel is None:
        return None
    return await hold(Hall(work), conversation, channel, conversation.enquiry_id)


async def lock_parties(held: HeldEnquiry, *further: str) -> None:
    """Lock the account and every agent whom a move of this enquiry may concern, in that order.

    Raises:
        UnforeseenError: The transaction makes other decisions, and did not foresee this one.
    """
    account_id = held.row.account_id
    wanted = agents_concerned(held.row, held.channel) | set(further)
    await held.hall.lock([account_id], [(account_id, agent_id) for agent_id in wanted])


def agents_of(channel: Channel) -> set[str]:
    """Return every agent whom a channel's rule may ask."""
    routing = routing_of(channel.routing)
    return set() if routing is None else set(_agents_of(routing.destination_ids))


def endpoints_of(channel: Channel) -> set[str]:
    """Return every endpoint that a channel's enquiries may be given to."""
    routing = routing_of(channel.routing)
    listed = [] if routing is None else routing.destination_ids
    concerned = {each for each in listed if ids.is_id(ids.ENDPOINT, each)}
    if channel.link.get("mode") == _LINKED:
        concerned.add(channel.link["endpoint_id"])
    return concerned


def agents_concerned(row: Enquiry | None, channel: Channel) -> set[str]:
    """Return every agent whom a move of an enquiry may concern."""
    concerned = agents_of(channel)
    if row is not None:
        concerned |= {offer.agent_id for offer in row.pending_offers}
        concerned |= {each for each in (row.progress.first, row.agent_id) if each is not None}
    return concerned


async def route(held: HeldEnquiry) -> None:
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
        await _follow(held, held.routing)


async def conclude(held: HeldEnquiry) -> None:
    """Have written what was moved, and others told of the room that it left."""
    held.save()
    await leave_room(held)


async def save(held: HeldEnquiry) -> None:
    """Have written what changed, at once unless more decisions follow."""
    held.save()
    if not held.hall.gathers:
        await held.hall.finish()


async def leave_room(held: HeldEnquiry) -> None:
    """Have others told of the room that was left, at once unless more decisions follow."""
    held.hall.free(held.row.account_id, place=held.frees_place, agents=held.freed_agents)
    if not held.hall.gathers:
        await held.hall.finish()


async def has_room(held: HeldEnquiry, agent: Agent) -> bool:
    """Say whether an agent, who is locked, has room for this enquiry."""
    return await held.hall.load(agent, besides=held.share) < agent.capacity


def timeout_of(held: HeldEnquiry, destination_id: str) -> timedelta:
    """Return how long an offer to a destination of the channel's routing, or any other, stands."""
    if held.routing is None:
        return DEFAULT_TIMEOUT
    return held.routing.timeout_of(destination_id)


def as_destination(destination: Destination) -> dict[str, Any]:
    """Return a destination as an enquiry names it."""
    kind = "agent" if ids.is_id(ids.AGENT, destination.id) else "endpoint"
    return {"id": destination.id, "kind": kind, "name": destination.name}


async def _follow(held: HeldEnquiry, routing: Routing) -> None:
    if held.row.progress.since is None:
        held.row.progress.since = held.work.now
    decision = decide(await _facts(held), routing)
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


async def _facts(held: HeldEnquiry) -> Facts:
    hall, account_id = held.hall, held.row.account_id
    candidates = _candidates(held)
    destinations: dict[str, Destination] = {}
    for agent_id in _agents_of(candidates):
        agent = hall.agents.get(agent_id)
        if agent is not None and agent.deleted_at is None:
            load = await hall.load(agent, besides=held.share)
            destinations[agent.id] = agent.facts(
                channel_id=held.channel.id, at=held.work.now, load=load
            )
    endpoint_ids = [each for each in candidates if ids.is_id(ids.ENDPOINT, each)]
    return Facts(
        at=held.work.now,
        destinations=destinations | await hall.endpoints(account_id, endpoint_ids),
        tried=Tried(held.row.progress.tried),
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
    if link.get("mode") != _LINKED:
        return None
    endpoint_id = link["endpoint_id"]
    found = await held.hall.endpoints(held.row.account_id, [endpoint_id])
    return None if endpoint_id not in found else as_destination(found[endpoint_id])


def _linked_assignment(held: HeldEnquiry, endpoint: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule": _LINKED,
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
