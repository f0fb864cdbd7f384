"""Finds somebody for an enquiry: reads the facts under lock, decides, and does what was decided."""

from datetime import timedelta
from typing import Any, Final

from gateway.db.channels import Channel, get_channel
from gateway.db.conversations import Conversation
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.errors import ConflictError
from routing.automation.moves import after_move
from routing.destinations import (
    AgentFacts,
    BotFacts,
    Destination,
    Distribution,
    EndpointFacts,
    TeamFacts,
    Tried,
)
from routing.engine import Decision, Facts, GiveTo, Miss, OfferTo, ask, decide
from routing.enquiries import Actor, Enquiry, Progress
from routing.entries import DEFAULT_TIMEOUT, Entry
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.parties import Agent
from routing.rules import NO_RULE, PERCENTAGE, Routing, routing_of
from routing.turns import Turn

_HANDED_OVER: Final = "handed_over"
_KINDS: Final[dict[type, str]] = {
    AgentFacts: "agent",
    TeamFacts: "team",
    BotFacts: "bot",
    EndpointFacts: "endpoint",
}


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
    """Lock the account and every destination whom a move of this enquiry may concern.

    Raises:
        UnforeseenError: The transaction makes other decisions, and did not foresee this one.
    """
    account_id = held.row.account_id
    wanted = concerned(held.row, held.channel, held.conversation) | set(further)
    await held.hall.lock([account_id], [(account_id, each) for each in wanted])


def concerned(row: Enquiry | None, channel: Channel, conversation: Conversation) -> set[str]:
    """Return every destination whom a move of a conversation's enquiry may concern."""
    routing = routing_of(channel.routing)
    found: set[str | None] = set() if routing is None else set(routing.destination_ids)
    links = [channel.link] if row is None else [channel.link, row.progress.link or {}]
    found |= {link.get(name) for link in links for name in ("endpoint_id", "bot_id")}
    found.add(conversation.engaged_agent_id)
    if row is not None:
        found |= {offer.agent_id for offer in row.pending_offers}
        found |= {row.progress.first, row.agent_id}
    return {each for each in found if each is not None}


async def route(held: HeldEnquiry) -> None:
    """Decide about an enquiry that waits, and do what was decided.

    Where no routing is configured, it goes on waiting until somebody accepts it.
    """
    if not held.waits:
        return
    linked = linked_to(held)
    if linked is not None:
        held.row.assignment = _linked_assignment(held, linked)
        _give(held, linked)
        return
    decision = await _decide(held)
    if decision is None:
        return
    match decision.outcome:
        case OfferTo(destination, agent_ids, timeout):
            held.offer(as_destination(destination), agent_ids, timeout)
        case GiveTo(destination):
            _give(held, destination)
        case Miss(reason) if held.routing is not None:
            held.miss(reason)
        case _:
            pass


async def hand_over(held: HeldEnquiry, actor: Actor) -> None:
    """Let the channel's rule find somebody for an enquiry that a bot or an endpoint has.

    The parties are locked. Who had it is not asked again.
    """
    bot = held.row.destination or {}
    # Nor are those who handed over before.
    tried = {id_: end for id_, end in held.row.progress.tried.items() if end == _HANDED_OVER}
    progress = Progress(tried=tried | {bot["id"]: _HANDED_OVER}, since=held.work.now)
    progress.link = held.row.progress.link
    held.row.progress = progress
    decision = await _decide(held)
    match None if decision is None else decision.outcome:
        case OfferTo(destination, agent_ids, timeout):
            held.transfer(actor, as_destination(destination), agent_ids, timeout, progress=progress)
        case GiveTo(destination):
            to = as_destination(destination)
            held.transfer(actor, to, [], timedelta(), progress=progress)
            _give(held, destination)
        case Miss(reason) if held.routing is not None:
            held.transfer(actor, None, [], timedelta(), progress=progress)
            held.miss(reason)
        case _:
            held.transfer(actor, None, [], timedelta(), progress=progress)
            held.wait_for_somebody()


async def transfer(held: HeldEnquiry, actor: Actor, destination: Destination) -> None:
    """Give an enquiry to a destination that somebody chose; the parties are locked.

    An agent is asked whatever the presence says; of a team, those who can be. When they do not take
    it, the channel's rule goes on.

    Raises:
        ConflictError: Nobody of the team can be asked.
    """
    to = as_destination(destination)
    match destination:
        case AgentFacts(id=agent_id):
            wait = timeout_of(held, agent_id)
            held.transfer(actor, to, [agent_id], wait, progress=Progress(transfer=agent_id))
        case TeamFacts(id=team_id):
            entry = Entry(team_id, timeout_of(held, team_id))
            asked = ask(destination, entry, Facts(at=held.work.now, destinations={}))
            if not isinstance(asked, OfferTo):
                raise ConflictError("Nobody of the team can be asked now.")
            progress = Progress(first=team_id)
            held.transfer(actor, to, asked.agent_ids, asked.timeout, progress=progress)
            await _note_asked(held, asked)
        case _:
            held.transfer(actor, to, [], timedelta(), progress=Progress())
            _give(held, destination)


async def destination_of(held: HeldEnquiry, destination_id: str) -> Destination | None:
    """Return a destination, which was locked by its id, as a decision about the enquiry sees it."""
    found = await held.hall.destinations(
        held.row.account_id, [destination_id], channel_id=held.channel.id, besides=held.share
    )
    return found.get(destination_id)


async def conclude(held: HeldEnquiry) -> None:
    """Have written what was moved and said, and others told of the room that it left."""
    await after_move(held, hand_over)
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
    kind = _KINDS[type(destination)]
    return {"id": destination.id, "kind": kind, "name": destination.name}


async def _decide(held: HeldEnquiry) -> Decision | None:
    """Decide by the channel's rule, and keep the explanation; None where there is no rule."""
    routing = held.routing
    if routing is None and held.row.progress.first is None:
        return None
    if held.row.progress.since is None:
        held.row.progress.since = held.work.now
    decision = decide(await _facts(held, routing or NO_RULE), routing or NO_RULE)
    version = held.channel.routing_version
    held.row.assignment = decision.as_json(routing_version=version)
    if decision.balances is not None:
        turn = Turn(version=version, balances=decision.balances)
        held.hall.take_turn(held.row.account_id, held.channel.id, turn)
    if isinstance(decision.outcome, OfferTo):
        await _note_asked(held, decision.outcome)
    return decision


async def _note_asked(held: HeldEnquiry, asked: OfferTo) -> None:
    team = asked.destination
    if isinstance(team, TeamFacts) and team.distribution is Distribution.ROUND_ROBIN:
        turn = Turn(last_asked=asked.agent_ids[-1])
        held.hall.take_turn(held.row.account_id, team.id, turn)


async def _facts(held: HeldEnquiry, routing: Routing) -> Facts:
    hall, row, progress = held.hall, held.row, held.row.progress
    wanted = dict.fromkeys(filter(None, (progress.first, *routing.destination_ids)))
    turn = Turn()
    if routing.rule == PERCENTAGE:
        turn = await hall.turn(row.account_id, held.channel.id)
    return Facts(
        at=held.work.now,
        destinations=await hall.destinations(
            row.account_id, wanted, channel_id=held.channel.id, besides=held.share
        ),
        tried=Tried(progress.tried, progress.asked_since),
        first=progress.first,
        balances=turn.balances_of(held.channel.routing_version),
    )


def _give(held: HeldEnquiry, destination: Destination) -> None:
    version = destination.version if isinstance(destination, BotFacts) else None
    held.give(as_destination(destination), bot_version=version)


def linked_to(held: HeldEnquiry) -> BotFacts | EndpointFacts | None:
    """Return the bot or the endpoint that is to have an enquiry, unless it has handed over."""
    link, hall = held.link, held.hall
    match link.get("mode"):
        case "external_endpoint":
            return hall.endpoints.get(link["endpoint_id"])
        case "bot" if link["bot_id"] not in held.row.progress.tried:
            return hall.bots.get(link["bot_id"])
        case _:
            return None


def _linked_assignment(held: HeldEnquiry, linked: Destination) -> dict[str, Any]:
    return {
        "rule": held.link["mode"],
        "routing_version": held.channel.routing_version,
        "inputs": {},
        "considered": [{"destination_id": linked.id, "taken": True, "reason": "available"}],
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
