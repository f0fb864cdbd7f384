"""Notes who owns a thread, and tells of it.

Ownership ends after a day in which nobody shows it: whatever does renews it.
"""

from gateway.contracts.moments import rfc3339
from gateway.db.conversations import Conversation
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import INBOX_APPS, ThreadOwner, thread_owner_at
from routing.inbound.arrivals import Arrival


def owner_before(conversation: Conversation, arrival: Arrival) -> ThreadOwner:
    """Return who owned the thread when something came."""
    return thread_owner_at(
        arrival.event.occurred_at,
        ThreadOwner(conversation.thread_owner),
        conversation.thread_owner_since,
    )


def owner_named(app_id: str, *, ours: str | None) -> ThreadOwner:
    """Return what an app is to a thread: we, an inbox for people, or another."""
    if app_id == ours:
        return ThreadOwner.US
    return ThreadOwner.PAGE_INBOX if app_id in INBOX_APPS else ThreadOwner.OTHER_APP


def set_thread_owner(
    work: UnitOfWork, conversation: Conversation, owner: ThreadOwner, arrival: Arrival
) -> None:
    """Note who owns the thread, as this event shows; a change is told outside."""
    since = conversation.thread_owner_since
    if since is not None and arrival.event.occurred_at < since:
        return
    before = owner_before(conversation, arrival)
    conversation.thread_owner = owner
    conversation.thread_owner_since = arrival.event.occurred_at
    if before == owner:
        return
    work.announce(
        NewEvent(
            type="gateway.conversation.thread_changed.v1",
            account_id=conversation.account_id,
            channel_id=conversation.channel_id,
            conversation_id=conversation.id,
            enquiry_id=conversation.enquiry_id,
            sequence=conversation.take_sequence(),
            occurred_at=arrival.event.occurred_at,
            traceparent=arrival.event.traceparent,
            data={
                "previous_owner": before,
                "thread_owner": owner,
                "since": rfc3339(arrival.event.occurred_at),
            },
        )
    )
