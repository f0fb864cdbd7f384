"""Erases a contact, step by step: each step is a transaction of its timer, and may be repeated.

    end what runs ──▶ empty the messages ──▶ empty events, delete what waits ──▶ tell
                       (some at a time)                                           │
                              ▲──────────── once more, half a minute later ◀──────┘

The second round is for what was under way during the first: a call whose answer was not there yet,
a record that another transaction was writing. Whoever is killed leaves the timer where it was.
"""

from datetime import timedelta
from typing import Any, Final

import structlog

from gateway.contracts.inbound import NO_CONTACT, inbound_key
from gateway.db.comment_erasures import erase_answers, erase_comments
from gateway.db.conversations import Conversation, lock_conversations
from gateway.db.erasures import Subject, erase_events, erase_leftovers, erase_messages
from gateway.db.lanes import promote_lanes
from gateway.db.media import take_media_of_contact
from gateway.db.outbox import NewEvent
from gateway.db.timers import Timer, set_timer, take_timer
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.shards import shard_of
from gateway.messaging.cancellation import cancel_erased_messages
from gateway.messaging.erasure import ERASE_TIMER
from gateway.messaging.files import remove_files
from gateway.messaging.inline_answers import ANSWER_TIMER
from routing.assignment import conclude, hold_latest, lock_parties
from routing.enquiries import CLOSED_WITH_CONTACT, LIVE, SYSTEM

# Longer than any call may run and be settled.
_AGAIN: Final = timedelta(seconds=30)
_BATCH: Final = 500
_STEP, _AFTER, _ROUND = "step", "after", "round"
# The events of the first round that told of comments: once emptied, they cannot be found again.
_WRITTEN: Final = "written"
_END, _MESSAGES, _REST = "end", "messages", "rest"

log = structlog.get_logger()


async def erase_due(work: UnitOfWork, timer: Timer) -> None:
    """Do the next step of an erasure, and set the timer for the one that follows."""
    wanted = timer.conversation_id or ""
    locked = await lock_conversations(work, [wanted], account_id=timer.account_id)
    if not await take_timer(work, timer) or wanted not in locked:
        return
    match timer.data.get(_STEP, _END):
        case "end":
            await _end(work, locked[wanted])
            await _go_on(work, timer, {_STEP: _MESSAGES})
        case "messages":
            after = timer.data.get(_AFTER, 0)
            until = await erase_messages(
                work.connection, _subject(timer), after=after, limit=_BATCH
            )
            step = {_STEP: _REST} if until is None else {_STEP: _MESSAGES, _AFTER: until}
            await _go_on(work, timer, step)
        case _:
            await _rest(work, timer)


async def _end(work: UnitOfWork, conversation: Conversation) -> None:
    """Close the enquiry that lives, and keep from leaving what has not left."""
    held = await hold_latest(work, conversation)
    if held is not None and held.row.status in LIVE:
        await lock_parties(held)
        held.close(SYSTEM, reason=CLOSED_WITH_CONTACT)
        await conclude(held)
    await cancel_erased_messages(work, conversation)
    conversation.last_action_at = conversation.last_inbound_at = None


async def _rest(work: UnitOfWork, timer: Timer) -> None:
    subject = _subject(timer)
    of_contact = inbound_key(subject.kind, subject.source_id, subject.source_contact_id)
    of_source = inbound_key(subject.kind, subject.source_id, NO_CONTACT)
    lanes = await erase_events(work.connection, subject, now=work.now)
    written = await erase_comments(
        work.connection,
        subject,
        keys=[of_source.encode(), subject.account_id.encode()],
        now=work.now,
    )
    await erase_answers(work.connection, timer.data.get(_WRITTEN, ()))
    lanes |= written.lanes
    if lanes:
        await promote_lanes(work.connection, lanes)
        work.wake("sender", {shard_of(target_id) for target_id, _ in lanes})
    await erase_leftovers(
        work.connection,
        subject,
        keys=[of_contact.encode(), subject.conversation_id.encode()],
        timer_kind=ANSWER_TIMER,
    )
    files = await take_media_of_contact(work.connection, subject.account_id, subject.contact_id)
    await remove_files(work, files)
    if timer.data.get(_ROUND):
        log.info("contact.erased", account_id=subject.account_id, contact_id=subject.contact_id)
        return
    channel_id = subject.channel_id
    work.announce(
        NewEvent(
            type="gateway.contact.erased.v1",
            account_id=subject.account_id,
            channel_id=channel_id,
            occurred_at=work.now,
            data={"contact": {"id": subject.contact_id, "channel_id": channel_id}},
        )
    )
    await _go_on(
        work, timer, {_STEP: _END, _AFTER: 0, _ROUND: 1, _WRITTEN: written.ids}, after=_AGAIN
    )


async def _go_on(
    work: UnitOfWork, timer: Timer, changes: dict[str, Any], *, after: timedelta = timedelta()
) -> None:
    await set_timer(
        work,
        account_id=timer.account_id,
        kind=ERASE_TIMER,
        subject_id=timer.subject_id,
        conversation_id=timer.conversation_id,
        due_at=work.now + after,
        data=timer.data | changes,
    )


def _subject(timer: Timer) -> Subject:
    return Subject(
        account_id=timer.account_id,
        channel_id=timer.data["channel_id"],
        contact_id=timer.subject_id,
        conversation_id=timer.conversation_id or "",
        kind=timer.data["kind"],
        source_id=timer.data["source_id"],
        source_contact_id=timer.data["source_contact_id"],
        writer_id=timer.data.get("writer_id", timer.data["source_contact_id"]),
    )
