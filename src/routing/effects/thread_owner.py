"""Notes who owns a thread, and tells of it."""

from gateway.contracts.moments import rfc3339
from gateway.db.conversations import Conversation
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import ThreadOwner
from routing.arrivals import Arrival


def set_thread_owner(
    work: UnitOfWork, conversation: Conversation, owner: ThreadOwner, arrival: Arrival
) -> None:
    """Note who owns the thread since this event; a change is told outside."""
    since = conversation.thread_owner_since
    if since is not None and arrival.event.occurred_at < since:
        return
    before = conversation.thread_owner
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
