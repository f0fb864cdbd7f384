"""What happens to enquiries when something is said: by the contact, or by other hands."""

from datetime import datetime, timedelta

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from gateway.db.messages import Message
from gateway.db.unit_of_work import UnitOfWork
from gateway.messaging.cancellation import cancel_automatic_messages
from routing.assignment import Parties, conclude, hold, lock_parties, new_enquiry, route
from routing.enquiries import (
    SYSTEM,
    Actor,
    Continuation,
    EnquiryStatus,
    HandledBy,
    Latest,
    continuation,
)
from routing.held import HeldEnquiry
from routing.parties import count_inside
from routing.repository import EnquirySummary, find_enquiries
from routing.waiting import first_queued, tell_first_queued


def needs_decision(
    conversation: Conversation,
    enquiry: EnquirySummary | None,
    channel: Channel,
    *,
    now: datetime,
) -> bool:
    """Say whether a contact's message would do more than join an enquiry that is alive.

    Such a message needs a transaction of its own, because it locks the account. `enquiry` is the
    conversation's latest one; where the message needs none, it is the message's.
    """
    latest = enquiry if conversation.enquiry_id is not None else None
    return _what(latest, channel, at=now) is not Continuation.JOIN


async def on_contact_message(
    work: UnitOfWork,
    conversation: Conversation,
    channel: Channel,
    message: Message,
    *,
    late: bool,
    parked: bool,
    enquiry: EnquirySummary | None = None,
) -> str | None:
    """Open, continue or reopen an enquiry for a contact's message, and return the enquiry's id.

    The conversation is locked and the message numbered. A blocked contact's messages are not for
    here, nor are those of a thread that another app holds.

    Args:
        work: The transaction; where `needs_decision` said so, of this message alone.
        conversation: The conversation.
        channel: Its channel.
        message: What the contact said.
        late: It is older than the contact's last message, and so moves no enquiry.
        parked: It waited for its source; all that waited open one enquiry at most.
        enquiry: The conversation's latest enquiry, where the caller has it; saves reading it.
    """
    latest = enquiry or await _latest(work, conversation)
    what = _what(latest, channel, at=message.occurred_at)
    waited = parked and latest is not None and message.occurred_at <= latest.began_at
    if late or waited or what is Continuation.JOIN:
        return conversation.enquiry_id
    actor = Actor("contact", conversation.contact_id)
    if latest is None or what is Continuation.OPEN_ANOTHER:
        held = _begin(work, conversation, channel, late=parked)
        parties = await lock_parties(held)
        await enter(held, parties, actor, told=True)
    else:
        held = await _held(work, conversation, channel, latest.id)
        parties = await lock_parties(held)
        if what is Continuation.RESUME:
            held.resume(actor)
        else:
            held.reopen(actor, reason="contact_message", first=_served_by(held))
            await enter(held, parties, actor, told=False)
    await conclude(held, parties)
    return held.row.id


async def on_page_inbox_message(
    work: UnitOfWork, conversation: Conversation, channel: Channel
) -> None:
    """Leave a conversation to whoever answers in the Page's own inbox.

    Its open or offered enquiry becomes ongoing there, and what would be said automatically is not.
    The conversation is locked; the transaction has no other conversation's decision in it.
    """
    await cancel_automatic_messages(work, conversation)
    if conversation.enquiry_id is None:
        return
    held = await _held(work, conversation, channel, conversation.enquiry_id)
    match held.row.status:
        case EnquiryStatus.OPEN | EnquiryStatus.OFFERED:
            parties = await lock_parties(held)
            held.leave_to_page()
            await conclude(held, parties)
        case EnquiryStatus.ONGOING:
            held.note_our_message()
            await held.save()
        case _:
            pass


async def enter(held: HeldEnquiry, parties: Parties, actor: Actor, *, told: bool) -> None:
    """Let an open enquiry in and route it, or have it wait outside while the account is full.

    `told` False: it was told already how it came to be open.
    """
    account_id = held.row.account_id
    inside = await count_inside(held.work.connection, account_id, besides=held.row.id)
    has_place = inside < parties.contacts_limit
    # Who came before goes in before.
    queue = await first_queued(held.work.connection, account_id)
    if has_place and queue is None:
        held.enter(actor, told=told)
        await route(held, parties)
        return
    held.queue()
    if has_place:
        await tell_first_queued(held.work, account_id)


async def admit(held: HeldEnquiry, parties: Parties) -> None:
    """Let an enquiry in that waited outside, if there is a place and nobody is before it."""
    account_id = held.row.account_id
    inside = await count_inside(held.work.connection, account_id, besides=held.row.id)
    if inside >= parties.contacts_limit:
        return
    if await first_queued(held.work.connection, account_id) == held.row.id:
        held.enter(SYSTEM, reason="admitted")
        await route(held, parties)
        await conclude(held, parties)
    await tell_first_queued(held.work, account_id)


def _what(latest: Latest | None, channel: Channel, *, at: datetime) -> Continuation:
    return continuation(
        latest,
        policy=channel.closed_enquiry_policy,
        intermission=timedelta(minutes=channel.intermission_minutes),
        at=at,
    )


def _begin(
    work: UnitOfWork, conversation: Conversation, channel: Channel, *, late: bool
) -> HeldEnquiry:
    row = new_enquiry(conversation, channel, opened_at=work.now, updated_at=work.now, late=late)
    conversation.enquiry_id = row.id
    return HeldEnquiry(work, conversation, channel, row)


def _served_by(held: HeldEnquiry) -> str | None:
    return held.row.agent_id if held.row.handled_by is HandledBy.AGENT else None


async def _latest(work: UnitOfWork, conversation: Conversation) -> EnquirySummary | None:
    if conversation.enquiry_id is None:
        return None
    found = await find_enquiries(work.connection, [conversation.enquiry_id])
    return found.get(conversation.enquiry_id)


async def _held(
    work: UnitOfWork, conversation: Conversation, channel: Channel, enquiry_id: str
) -> HeldEnquiry:
    held = await hold(work, conversation, channel, enquiry_id)
    assert held is not None, "an enquiry is never deleted before its conversation"
    return held
