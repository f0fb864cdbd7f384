"""What people and back ends do to an enquiry; free of HTTP.

Each command locks the conversation, then the account and the agents whom it may concern, makes the
move or refuses it, and returns the enquiry as it is afterwards.
"""

from collections.abc import Awaitable, Callable

from gateway.db.channels import get_channel
from gateway.db.conversations import lock_conversations
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.channel import ChannelStatus
from gateway.errors import (
    ChannelDeletedError,
    ConflictError,
    FieldFault,
    InvalidFieldsError,
    NotFoundError,
)
from routing.assignment import conclude, destination_of, has_room, hold, lock_parties, route
from routing.assignment import transfer as give_to
from routing.destinations import Destination, EndpointFacts
from routing.enquiries import Actor, Enquiry, EnquiryStatus
from routing.enquiry_effects import enter, served_by
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.parties import Agent
from routing.repository import find_conversation, find_live_elsewhere

_AGENT_POINTER = "/agent_id"
_DESTINATION_POINTER = "/destination_id"
_TAKEABLE = frozenset({EnquiryStatus.OPEN, EnquiryStatus.OFFERED})
_REQUESTED = "requested"


async def accept(work: UnitOfWork, account_id: str, enquiry_id: str, *, agent_id: str) -> Enquiry:
    """Let an agent take an enquiry, offered to that agent or not.

    Raises:
        NotFoundError: The account has no such enquiry.
        ChannelDeletedError: Its channel is deleted.
        IllegalTransitionError: It is neither open nor offered; says who has it.
        ConflictError: The agent has no room for it, or does not serve the channel.
        InvalidFieldsError: There is no such agent.
    """
    held = await _hold(work, account_id, enquiry_id, alive=True)
    await lock_parties(held, agent_id)
    await let_accept(held, Actor("agent", agent_id), agent_id, pointer=_AGENT_POINTER)
    await conclude(held)
    return held.row


async def reject(work: UnitOfWork, account_id: str, enquiry_id: str, *, agent_id: str) -> Enquiry:
    """Let an agent refuse an offer; the rule goes on with the next destination.

    Raises:
        NotFoundError: The account has no such enquiry.
        IllegalTransitionError: It is not offered, or not to this agent.
        InvalidFieldsError: There is no such agent.
    """
    held = await _hold(work, account_id, enquiry_id)
    await lock_parties(held, agent_id)
    require_agent(held, agent_id, pointer=_AGENT_POINTER)
    offer = next((each for each in held.row.pending_offers if each.agent_id == agent_id), None)
    if offer is None:
        raise held.refuse("It is not offered to this agent.")
    held.reject(Actor("agent", agent_id), offer)
    await route(held)
    await conclude(held)
    return held.row


async def transfer(
    work: UnitOfWork, account_id: str, enquiry_id: str, *, destination_id: str, actor: Actor
) -> Enquiry:
    """Offer an enquiry to another agent or a team, or hand it over to a bot or an endpoint.

    When nobody takes it, the channel's rule goes on.

    Raises:
        NotFoundError: The account has no such enquiry.
        ChannelDeletedError: Its channel is deleted.
        IllegalTransitionError: It is over, or waits outside.
        ConflictError: The agent has no room or does not serve the channel, nobody of the team can
            be asked, or the endpoint is paused.
        InvalidFieldsError: There is no such destination.
    """
    held = await _hold(work, account_id, enquiry_id, alive=True)
    if held.row.status not in _TAKEABLE | {EnquiryStatus.ONGOING}:
        raise held.refuse(f"An enquiry that is {held.row.status} cannot be transferred.")
    _require_inside(held)
    await lock_parties(held, destination_id)
    if ids.is_id(ids.AGENT, destination_id):
        agent = require_agent(held, destination_id, pointer=_DESTINATION_POINTER)
        await _require_room(held, agent)
    await give_to(held, actor, await _require_destination(held, destination_id))
    await conclude(held)
    return held.row


async def close(
    work: UnitOfWork, account_id: str, enquiry_id: str, *, agent_id: str | None, actor: Actor
) -> Enquiry:
    """End an enquiry.

    Raises:
        NotFoundError: The account has no such enquiry.
        IllegalTransitionError: It is closed already.
        InvalidFieldsError: There is no such agent.
    """

    async def move(held: HeldEnquiry) -> None:
        held.close(actor, reason=_REQUESTED)

    return await _as_agent(work, account_id, enquiry_id, agent_id, move)


async def reopen(
    work: UnitOfWork, account_id: str, enquiry_id: str, *, agent_id: str | None, actor: Actor
) -> Enquiry:
    """Let a closed or missed enquiry begin anew: it is routed as if it had just come.

    Raises:
        NotFoundError: The account has no such enquiry.
        ChannelDeletedError: Its channel is deleted.
        IllegalTransitionError: It is neither closed nor missed.
        ConflictError: Another enquiry of the conversation is alive.
        InvalidFieldsError: There is no such agent.
    """

    async def move(held: HeldEnquiry) -> None:
        if held.row.status not in {EnquiryStatus.CLOSED, EnquiryStatus.MISSED}:
            raise held.refuse(f"An enquiry that is {held.row.status} cannot be reopened.")
        other = await find_live_elsewhere(work.connection, held.row)
        if other is not None:
            raise ConflictError(
                "Another enquiry of this conversation is open.", extra={"enquiry_id": other}
            )
        held.reopen(actor, reason=_REQUESTED, first=served_by(held))
        await enter(held, actor, told=False)

    return await _as_agent(work, account_id, enquiry_id, agent_id, move, alive=True)


async def follow_up(
    work: UnitOfWork, account_id: str, enquiry_id: str, *, agent_id: str | None, actor: Actor
) -> Enquiry:
    """Note that somebody came back to a contact whose enquiry was missed.

    Raises:
        NotFoundError: The account has no such enquiry.
        IllegalTransitionError: It is not missed.
        InvalidFieldsError: There is no such agent.
    """

    async def move(held: HeldEnquiry) -> None:
        agent = held.hall.agents.get(agent_id or "")
        held.follow_up(actor, agent_id=agent_id, agent_name=None if agent is None else agent.name)

    return await _as_agent(work, account_id, enquiry_id, agent_id, move)


async def let_accept(held: HeldEnquiry, actor: Actor, agent_id: str, *, pointer: str) -> None:
    """Let an agent take an enquiry that is open or offered; the parties are locked.

    Raises: as `accept`.
    """
    agent = require_agent(held, agent_id, pointer=pointer)
    if held.row.status not in _TAKEABLE:
        raise held.refuse(f"An enquiry that is {held.row.status} cannot be accepted.")
    _require_inside(held)
    if all(offer.agent_id != agent_id for offer in held.row.pending_offers):
        await _require_room(held, agent)
    held.accept(actor, agent_id=agent.id, agent_name=agent.name)


async def take_over(held: HeldEnquiry, actor: Actor, agent_id: str, *, pointer: str) -> None:
    """Let an agent take an ongoing enquiry away from who has it, as if it were transferred.

    Raises:
        ConflictError: The agent has no room for it, or does not serve the channel.
        InvalidFieldsError: There is no such agent.
    """
    agent = require_agent(held, agent_id, pointer=pointer)
    await _require_room(held, agent)
    destination = await destination_of(held, agent.id)
    assert destination is not None, "an agent that can be required is there"
    await give_to(held, actor, destination)
    held.accept(actor, agent_id=agent.id, agent_name=agent.name, reason="takeover")


def require_agent(held: HeldEnquiry, agent_id: str, *, pointer: str) -> Agent:
    """Return a locked agent that is not deleted.

    Raises:
        InvalidFieldsError: There is none; the fault is at the pointer.
    """
    agent = held.hall.agents.get(agent_id)
    if agent is None or agent.deleted_at is not None:
        raise InvalidFieldsError(
            "There is no such agent.",
            faults=[FieldFault(pointer, "unknown-agent", "There is no such agent.")],
        )
    return agent


async def _hold(
    work: UnitOfWork, account_id: str, enquiry_id: str, *, alive: bool = False
) -> HeldEnquiry:
    """Lock an enquiry's conversation; `alive` refuses those of a deleted channel."""
    conversation_id = await find_conversation(work.connection, account_id, enquiry_id)
    locked = await lock_conversations(work, [conversation_id or ""], account_id=account_id)
    conversation = locked.get(conversation_id or "")
    if conversation is None:
        raise NotFoundError("There is no such enquiry.")
    channel = await get_channel(work.connection, account_id, conversation.channel_id)
    held = None
    if channel is not None:
        held = await hold(Hall(work), conversation, channel, enquiry_id)
    if held is None:
        raise NotFoundError("There is no such enquiry.")
    if alive and held.channel.status is ChannelStatus.DELETED:
        raise ChannelDeletedError("The channel of this enquiry is deleted.")
    return held


async def _as_agent(
    work: UnitOfWork,
    account_id: str,
    enquiry_id: str,
    agent_id: str | None,
    move: Callable[[HeldEnquiry], Awaitable[None]],
    *,
    alive: bool = False,
) -> Enquiry:
    held = await _hold(work, account_id, enquiry_id, alive=alive)
    await lock_parties(held, *([] if agent_id is None else [agent_id]))
    if agent_id is not None:
        require_agent(held, agent_id, pointer=_AGENT_POINTER)
    await move(held)
    await conclude(held)
    return held.row


def _require_inside(held: HeldEnquiry) -> None:
    if held.row.queued_at is not None:
        refusal = held.refuse("It waits outside until the account has a place for it.")
        refusal.extra["allowed"] = [EnquiryStatus.CLOSED.value]
        raise refusal


async def _require_room(held: HeldEnquiry, agent: Agent) -> None:
    if not agent.serves(held.channel.id):
        raise ConflictError("The agent does not serve this enquiry's channel.")
    if not await has_room(held, agent):
        raise ConflictError("The agent has no free capacity.", extra={"capacity": agent.capacity})


async def _require_destination(held: HeldEnquiry, destination_id: str) -> Destination:
    destination = await destination_of(held, destination_id)
    if destination is None:
        detail = "There is no such destination."
        raise InvalidFieldsError(
            detail, faults=[FieldFault(_DESTINATION_POINTER, "unknown-destination", detail)]
        )
    if isinstance(destination, EndpointFacts) and not destination.active:
        raise ConflictError("The endpoint takes nothing at the moment: it is paused or disabled.")
    return destination
