"""What happens when a timer is due: one function a kind.

The lock comes before the row: who holds the conversation (for presence: the agent) and then finds
the timer's row gone or moved has nothing to do any more.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.contracts.moments import from_rfc3339, rfc3339
from gateway.db.channels import find_channels
from gateway.db.conversations import lock_conversations
from gateway.db.timers import Timer, set_timer, take_timer, take_timers
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain import ids
from gateway.domain.channel import ChannelStatus
from gateway.messaging.erasure import ERASE_TIMER
from gateway.messaging.inline_answers import ANSWER_TIMER
from routing.assignment import (
    concerned,
    conclude,
    has_room,
    hold_latest,
    leave_room,
    lock_parties,
    route,
)
from routing.changes import PRESENCE_TIMER, RoutingChanges
from routing.enquiries import (
    CLOSED_BY_INTERMISSION,
    CLOSED_WITH_CHANNEL,
    LIVE,
    SYSTEM,
    EnquiryStatus,
    Offer,
)
from routing.enquiry_effects import admit
from routing.erasing import erase_due
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.inline_answers import answer_due
from routing.moving import MOVE_REST_TIMER, MOVE_TIMER, move, move_rest_due
from routing.parties import let_presence_expire, lock_agents
from routing.repository import find_last_words, is_caught_up
from routing.state_timers import HOURS_TIMER, INTERMISSION_TIMER, OFFER_TIMER, WAITING_TIMER
from routing.waiting import (
    ADMIT_TIMER,
    CLOSE_REASON,
    CLOSE_TIMER,
    RE_OFFER_TIMER,
    Place,
    close_channel,
    find_waiting,
    tell_waiting,
)
from routing.windows import WINDOW_TIMER, window_due

_LOOK_AGAIN: Final = timedelta(seconds=1)
_SINCE: Final = "since"
_FOR: Final = "for"

Handler = Callable[[UnitOfWork, Timer], Awaitable[None]]
Act = Callable[[HeldEnquiry, Timer], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ForLatest:
    """What acts on the latest enquiry of a timer's conversation, under lock.

    Where the channel is deleted, the enquiry is closed instead.
    """

    act: Act

    async def __call__(self, work: UnitOfWork, timer: Timer) -> None:
        """Fire one timer."""
        wanted = timer.conversation_id or ""
        locked = await lock_conversations(work, [wanted], account_id=timer.account_id)
        if not await take_timer(work, timer) or wanted not in locked:
            return
        held = await hold_latest(work, locked[wanted])
        if held is not None:
            await self.fire(held, timer)

    async def fire(self, held: HeldEnquiry, timer: Timer) -> None:
        """Act on an enquiry whose timer was taken."""
        if held.channel.status is ChannelStatus.DELETED and held.row.status in LIVE:
            await _close(held, reason=CLOSED_WITH_CHANNEL)
        else:
            await self.act(held, timer)


async def fire_together(work: UnitOfWork, due: Sequence[tuple[Timer, ForLatest]]) -> None:
    """Fire timers of as many conversations, each seeing those before it.

    Raises:
        UnforeseenError: One of them needs a lock that was not foreseen; they are to fire alone.
    """
    wanted = {timer.conversation_id or "": timer for timer, _ in due}
    locked = await lock_conversations(work, wanted, account_id=None)
    taken = await take_timers(work, [timer for timer, _ in due])
    hall = Hall(work, gathers=True)
    rows = [
        (conversation.account_id, conversation.enquiry_id)
        for conversation in locked.values()
        if conversation.enquiry_id is not None
    ]
    await hall.fetch(rows)
    channels = await find_channels(
        work.connection, {conversation.channel_id for conversation in locked.values()}
    )
    held: dict[str, HeldEnquiry] = {}
    for conversation in locked.values():
        row = hall.known(conversation.enquiry_id or "")
        channel = channels.get(conversation.channel_id)
        if row is not None and channel is not None:
            held[conversation.id] = HeldEnquiry(hall, conversation, channel, row)
    destinations = {
        (each.row.account_id, destination_id)
        for conversation_id, each in held.items()
        for destination_id in (
            *concerned(each.row, each.channel, each.conversation),
            *filter(None, [wanted[conversation_id].data.get(_FOR)]),
        )
    }
    await hall.lock({each.row.account_id for each in held.values()}, destinations)
    for timer, handler in due:
        if timer.id in taken and timer.conversation_id in held:
            await handler.fire(held[timer.conversation_id], timer)
    await hall.finish()


async def _offer_due(held: HeldEnquiry, _timer: Timer) -> None:
    await lock_parties(held)
    for offer in held.row.pending_offers:
        if offer.expires_at is not None and offer.expires_at <= held.work.now:
            held.expire(offer)
    await route(held)
    await conclude(held)


async def _waiting_due(held: HeldEnquiry, _timer: Timer) -> None:
    await lock_parties(held)
    if held.waits_until is not None and held.waits_until <= held.work.now:
        held.miss("waiting_limit")
    await conclude(held)


async def _intermission_due(held: HeldEnquiry, timer: Timer) -> None:
    if held.row.status is not EnquiryStatus.ONGOING:
        return
    since = from_rfc3339(timer.data[_SINCE]) if _SINCE in timer.data else timer.due_at
    connection, now = held.work.connection, held.work.now
    # What the contact wrote in time may still be on its way to us.
    if not await is_caught_up(connection, held.conversation.inbound_partition, at=since):
        await _look_again(held, at=now + _LOOK_AGAIN, since=since)
        return
    last = await find_last_words(connection, held.row.account_id, held.conversation.id)
    if last is None or not last.ours:
        return
    intermission = timedelta(minutes=held.channel.intermission_minutes)
    passes_at = (now if last.leaving else last.at) + intermission
    if passes_at > now:
        await _look_again(held, at=passes_at, since=None)
        return
    await lock_parties(held)
    held.close(SYSTEM, reason=CLOSED_BY_INTERMISSION)
    await conclude(held)


async def _re_offer_due(held: HeldEnquiry, timer: Timer) -> None:
    for_id = timer.data.get(_FOR)
    await lock_parties(held, *([for_id] if for_id else []))
    for offer in held.row.pending_offers:
        if not _still_answers(held, offer):
            held.withdraw(offer, "unavailable")
    await route(held)
    await conclude(held)
    await _pass_on(held, for_id)


async def _hours_due(held: HeldEnquiry, _timer: Timer) -> None:
    await lock_parties(held)
    await route(held)
    await conclude(held)


async def _admit_due(held: HeldEnquiry, _timer: Timer) -> None:
    if held.row.status is EnquiryStatus.OPEN and held.row.queued_at is not None:
        await lock_parties(held)
        await admit(held)
        return
    await held.hall.lock([held.row.account_id], [])
    held.frees_place = True
    await leave_room(held)


async def _close_for(held: HeldEnquiry, timer: Timer) -> None:
    """Close an enquiry for the reason given; without one it is left alone: its channel lives."""
    reason = timer.data.get(CLOSE_REASON)
    if reason is not None and held.row.status in LIVE:
        await _close(held, reason=reason)


async def _close(held: HeldEnquiry, *, reason: str) -> None:
    await lock_parties(held)
    held.close(SYSTEM, reason=reason)
    await conclude(held)


_close_one: Final = ForLatest(_close_for)


async def _close_due(work: UnitOfWork, timer: Timer) -> None:
    if timer.conversation_id is not None:
        await _close_one(work, timer)
    elif await take_timer(work, timer):
        await close_channel(work, timer.account_id, timer.subject_id)


async def _presence_due(work: UnitOfWork, timer: Timer) -> None:
    agents = await lock_agents(work.connection, [(timer.account_id, timer.subject_id)])
    agent = agents.get(timer.subject_id)
    if not await take_timer(work, timer) or agent is None:
        return
    if agent.presence_expires_at is None or agent.presence_expires_at > work.now:
        return
    await let_presence_expire(work.connection, timer.account_id, agent.id, at=work.now)
    await RoutingChanges().presence_changed(work, timer.account_id, agent.id)


def _still_answers(held: HeldEnquiry, offer: Offer) -> bool:
    agent = held.hall.agents.get(offer.agent_id)
    if agent is None or agent.deleted_at is not None:
        return False
    if ids.is_id(ids.TEAM, offer.destination_id):
        team = held.hall.teams.get(offer.destination_id)
        # Of a team that the rule names no more, nothing was read, and the offer stands.
        if team is not None and agent.id not in team.agent_ids:
            return False
    # Who was chosen by hand is asked whatever the presence says.
    chosen = held.row.progress.transfer == offer.agent_id
    return chosen or (agent.can_be_asked(held.work.now) and agent.serves(held.channel.id))


async def _pass_on(held: HeldEnquiry, agent_id: str | None) -> None:
    """Let the next in line have the agent, where this enquiry did not take the agent's room."""
    agent = held.hall.agents.get(agent_id or "")
    if agent is None or held.row.entered_at is None or not agent.can_be_asked(held.work.now):
        return
    if any(offer.agent_id == agent.id for offer in held.row.pending_offers):
        return
    if await has_room(held, agent):
        await held.hall.write()
        waiting = await find_waiting(
            held.work.connection,
            held.row.account_id,
            agent.id,
            channel_ids=agent.channel_ids,
            limit=1,
            after=Place(held.row.entered_at, held.row.id),
        )
        await tell_waiting(held.work, held.row.account_id, agent.id, waiting)


async def _look_again(held: HeldEnquiry, *, at: datetime, since: datetime | None) -> None:
    await set_timer(
        held.work,
        account_id=held.row.account_id,
        kind=INTERMISSION_TIMER,
        subject_id=held.row.id,
        conversation_id=held.conversation.id,
        due_at=at,
        data={} if since is None else {_SINCE: rfc3339(since)},
    )


HANDLERS: Final[dict[str, Handler]] = {
    OFFER_TIMER: ForLatest(_offer_due),
    WAITING_TIMER: ForLatest(_waiting_due),
    INTERMISSION_TIMER: ForLatest(_intermission_due),
    HOURS_TIMER: ForLatest(_hours_due),
    RE_OFFER_TIMER: ForLatest(_re_offer_due),
    ADMIT_TIMER: ForLatest(_admit_due),
    CLOSE_TIMER: _close_due,
    MOVE_TIMER: ForLatest(move),
    MOVE_REST_TIMER: move_rest_due,
    PRESENCE_TIMER: _presence_due,
    ANSWER_TIMER: answer_due,
    WINDOW_TIMER: window_due,
    ERASE_TIMER: erase_due,
}
