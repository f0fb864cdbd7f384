"""Notes who owns a thread, as an event shows."""

from gateway.db.conversations import Conversation
from gateway.domain.conversation import ThreadOwner
from gateway.messaging.thread_ownership import set_thread_owner
from routing.inbound.arrivals import Arrival
from routing.inbound.scene import Scene


def note_owner(
    scene: Scene, conversation: Conversation, owner: ThreadOwner, arrival: Arrival
) -> None:
    """Note who owns the thread from an event on."""
    set_thread_owner(
        scene.work,
        conversation,
        owner,
        at=arrival.event.occurred_at,
        traceparent=arrival.event.traceparent,
    )
