"""Notes who owns a thread, and tells of it; whoever calls holds the conversation's lock.

Ownership ends after a day in which nobody shows it: whatever does renews it.
"""

from datetime import datetime

from gateway.contracts.moments import rfc3339
from gateway.db.conversations import Conversation
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.conversation import ThreadOwner, thread_owner_at


def owner_at(conversation: Conversation, at: datetime) -> ThreadOwner:
    """Return who owned the thread at a moment."""
    return thread_owner_at(
        at, ThreadOwner(conversation.thread_owner), conversation.thread_owner_since
    )


def set_thread_owner(
    work: UnitOfWork,
    conversation: Conversation,
    owner: ThreadOwner,
    *,
    at: datetime,
    traceparent: str | None = None,
) -> None:
    """Note who owns the thread from a moment on; a change is told outside.

    What is older than what is known already changes nothing.
    """
    since = conversation.thread_owner_since
    if since is not None and at < since:
        return
    before = owner_at(conversation, at)
    conversation.thread_owner = owner
    conversation.thread_owner_since = at
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
            occurred_at=at,
            traceparent=traceparent,
            data={
                "previous_owner": before.value,
                "thread_owner": owner.value,
                "since": rfc3339(at),
            },
        )
    )


def keep_thread(conversation: Conversation, *, at: datetime) -> None:
    """Let what is ours stay ours for another day: something was said in it at a moment."""
    since = conversation.thread_owner_since
    ours = owner_at(conversation, at) is ThreadOwner.US
    if ours and (since is None or at > since):
        conversation.thread_owner_since = at
