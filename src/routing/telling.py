"""Tells of what happened to an enquiry: an event outside, and a line of its timeline."""

from collections.abc import Collection
from typing import Any

from gateway.db.conversations import Conversation
from gateway.db.outbox import NewEvent
from gateway.db.unit_of_work import UnitOfWork
from routing.enquiries import Actor, Enquiry
from routing.repository import TimelineEntry
from routing.resources import enquiry_resource


def tell(
    work: UnitOfWork,
    conversation: Conversation,
    row: Enquiry,
    name: str,
    actor: Actor,
    *,
    event_type: str,
    beside: dict[str, Any],
    also_to: Collection[str],
) -> TimelineEntry:
    """Announce an event under the conversation's next number and return the timeline's line.

    Args:
        work: The transaction.
        conversation: Locked by it.
        row: The enquiry as it stands after what happened.
        name: What happened, in the timeline's word: `opened`, `accepted`, ….
        actor: Who did it.
        event_type: What happened, as outside learns it.
        beside: JSON values that stand beside the enquiry.
        also_to: Endpoints that get the event besides the one that has the enquiry.
    """
    sequence = conversation.take_sequence()
    endpoints = {*also_to, *([] if row.endpoint_id is None else [row.endpoint_id])}
    work.announce(
        NewEvent(
            type=event_type,
            account_id=row.account_id,
            channel_id=row.channel_id,
            conversation_id=row.conversation_id,
            enquiry_id=row.id,
            sequence=sequence,
            occurred_at=work.now,
            data={"enquiry": enquiry_resource(row), "actor": actor.as_json(), **beside},
            also_to=tuple(sorted(endpoints)),
        )
    )
    return TimelineEntry(
        sequence=sequence,
        at=work.now,
        type=name,
        actor=actor.as_json(),
        data={
            "status": row.status.value,
            "destination": row.destination,
            "agent_id": row.agent_id,
            **beside,
        },
    )
