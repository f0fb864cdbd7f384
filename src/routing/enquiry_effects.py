"""What happens to enquiries when something is said: by the contact, or by other hands."""

from datetime import datetime, timedelta

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.messages import Message
from gateway.db.unit_of_work import UnitOfWork
from gateway.messaging.cancellation import cancel_automatic_messages
from routing.assignment import (
    conclude,
    hand_over,
    hold,
    leave_room,
    lock_parties,
    new_enquiry,
    route,
    save,
)
from routing.automation.bots import has_bot, reply
from routing.automation.hearing import Words
from routing.automation.words import welcome
from routing.enquiries import (
    SYSTEM,
    Actor,
    Continuation,
    EnquiryStatus,
    HandledBy,
    Latest,
    continuation,
)
from routing.hall import Hall
from routing.held import HeldEnquiry
from routing.repository import EnquirySummary, find_enquiries


def needs_decision(
    conversation: Conversation,
    enquiry: EnquirySummary | None,
    channel: Channel,
    *,
    now: datetime,
) -> bool:
    """Say whether a contact's message would do more than join an enquiry that is alive.

    Such a message locks the account. A bot that has the enquiry may hand it over or close it. The
    enquiry is the conversation's latest one.
    """
    latest = enquiry if conversation.enquiry_id is not None else None
    if latest is not None and latest.handled_by is HandledBy.BOT:
        return True
    return _what(latest, channel, at=now) is not Continuation.JOIN


async def on_contact_message(
    hall: Hall,
    conversation: Conversation,
    channel: Channel,
    message: Message,
    *,
    late: bool,
    parked: bool,
    first: bool = False,
    enquiry: EnquirySummary | None = None,
) -> str | None:
    """Open, continue or reopen an enquiry for a contact's message, and return the enquiry's id.

    The conversation is locked and the message numbered. A blocked contact's messages are not for
    here, nor are those of a thread that another app holds.

    Args:
        hall: Of the transaction.
        conversation: The conversation.
        channel: Its channel.
        message: What the contact said.
        late: It is older than the contact's last message, and so moves no enquiry.
        parked: It waited for its source; all that waited open one enquiry at most.
        first: It is the contact's very first message on the channel.
        enquiry: The conversation's latest enquiry, where the caller has it; saves reading it.

    Raises:
        UnforeseenError: The transaction makes other decisions, and did not foresee this one.
    """
    latest = enquiry or await _latest(hall.work, conversation)
    what = _what(latest, channel, at=message.occurred_at)
    waited = parked and latest is not None and message.occurred_at <= latest.began_at
    if late or waited:
        return conversation.enquiry_id
    if what is Continuation.JOIN:
        if latest is not None and latest.handled_by is HandledBy.BOT:
            await _let_bot_reply(hall, conversation, channel, message)
        return conversation.enquiry_id
    actor = Actor("contact", conversation.contact_id)
    if latest is None or what is Continuation.OPEN_ANOTHER:
        held = _begin(hall, conversation, channel, late=parked)
        held.said = message
        if first and not parked:
            await welcome(held)
        held.row.progress.first = _expects(held, latest, at=message.occurred_at)
        await lock_parties(held)
        conversation.engaged_agent_id = None
        await enter(held, actor, told=True)
    else:
        held = await _held(hall, conversation, channel, latest.id)
        held.said = message
        await lock_parties(held)
        if what is Continuation.RESUME:
            held.resume(actor)
        else:
            held.reopen(actor, reason="contact_message", first=served_by(held))
            conversation.engaged_agent_id = None
            await enter(held, actor, told=False)
    await conclude(held)
    return held.row.id


async def _let_bot_reply(
    hall: Hall, conversation: Conversation, channel: Channel, message: Message
) -> None:
    held = await _held(hall, conversation, channel, conversation.enquiry_id or "")
    if not has_bot(held):
        return
    held.said = message
    await lock_parties(held)
    words = Words(message.id, message.content)
    await reply(held, words, first=False, hand_over=hand_over)
    await conclude(held)


async def on_page_inbox_message(hall: Hall, conversation: Conversation, channel: Channel) -> None:
    """Leave a conversation to whoever answers in the Page's own inbox.

    Its open or offered enquiry becomes ongoing there, and what would be said automatically is not.
    The conversation is locked; the transaction has no other conversation's decision in it.
    """
    await cancel_automatic_messages(hall.work, conversation)
    if conversation.enquiry_id is None:
        return
    held = await _held(hall, conversation, channel, conversation.enquiry_id)
    match held.row.status:
        case EnquiryStatus.OPEN | EnquiryStatus.OFFERED:
            await lock_parties(held)
            held.leave_to_page()
            await conclude(held)
        case EnquiryStatus.ONGOING:
            held.note_our_message()
            await save(held)
        case _:
            pass


async def enter(held: HeldEnquiry, actor: Actor, *, told: bool) -> None:
    """Let an open enquiry in and route it, or have it wait outside while the account is full.

    `told` False: it was told already how it came to be open.
    """
    has_place = await _has_place(held)
    # Who came before goes in before.
    if has_place and await held.hall.first_queued(held.row.account_id) is None:
        held.enter(actor, told=told)
        await route(held)
        return
    held.queue()
    held.frees_place |= has_place


async def admit(held: HeldEnquiry) -> None:
    """Let an enquiry in that waited outside, if there is a place and nobody is before it."""
    if not await _has_place(held):
        return
    # There may be another place.
    held.frees_place = True
    if await held.hall.first_queued(held.row.account_id) == held.row.id:
        held.enter(SYSTEM, reason="admitted")
        await route(held)
        await conclude(held)
    else:
        await leave_room(held)


async def _has_place(held: HeldEnquiry) -> bool:
    account_id = held.row.account_id
    inside = await held.hall.inside(account_id, besides=held.share)
    return inside < held.hall.limits[account_id]


def _what(latest: Latest | None, channel: Channel, *, at: datetime) -> Continuation:
    return continuation(
        latest,
        policy=channel.closed_enquiry_policy,
        intermission=timedelta(minutes=channel.intermission_minutes),
        at=at,
    )


def _begin(hall: Hall, conversation: Conversation, channel: Channel, *, late: bool) -> HeldEnquiry:
    now = hall.work.now
    row = new_enquiry(conversation, channel, opened_at=now, updated_at=now, late=late)
    conversation.enquiry_id = row.id
    return HeldEnquiry(hall, conversation, channel, row, new=True)


def served_by(held: HeldEnquiry) -> str | None:
    """Return the agent who is asked first when an enquiry begins anew.

    That is who wrote to the contact last, while it was over, else who had it; nobody where the
    channel has no routing.
    """
    if held.conversation.engaged_agent_id is not None:
        return held.conversation.engaged_agent_id
    had = held.row.handled_by is HandledBy.AGENT and held.routing is not None
    return held.row.agent_id if had else None


def _expects(held: HeldEnquiry, before: EnquirySummary | None, *, at: datetime) -> str | None:
    """Return the agent who is asked first about a new enquiry.

    That is who wrote to the contact first, else who served the contact's last enquiry, where the
    routing is sticky and it ended recently.
    """
    if held.conversation.engaged_agent_id is not None:
        return held.conversation.engaged_agent_id
    sticky_for = None if held.routing is None else held.routing.sticky_for
    if before is None or before.closed_at is None or sticky_for is None:
        return None
    return before.agent_id if at < before.closed_at + sticky_for else None


async def _latest(work: UnitOfWork, conversation: Conversation) -> EnquirySummary | None:
    if conversation.enquiry_id is None:
        return None
    found = await find_enquiries(work.connection, [conversation.enquiry_id])
    return found.get(conversation.enquiry_id)


async def _held(
    hall: Hall, conversation: Conversation, channel: Channel, enquiry_id: str
) -> HeldEnquiry:
    held = await hold(hall, conversation, channel, enquiry_id)
    assert held is not None, "an enquiry is never deleted before its conversation"
    return held
