"""Events that change little here and that a back end may want: passed on under their own name."""

from typing import Final

from gateway.db.channels import Channel
from gateway.db.outbox import NewEvent
from routing.inbound.arrivals import Arrival
from routing.inbound.effects.window import open_window
from routing.inbound.scene import Scene

# A person who comes through a link or an advertisement into the thread may be answered.
_OPENS_WINDOW: Final = frozenset({"gateway.referral.received.v1"})


async def pass_on(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Publish an event of a contact, or of a source as a whole, as it came."""
    if not arrival.has_contact:
        _pass_on_for_account(scene, channel, arrival)
        return
    _, conversation = await scene.meet(channel, arrival)
    event = arrival.event
    if event.type in _OPENS_WINDOW:
        open_window(scene, channel, conversation, arrival)
    scene.work.announce(
        NewEvent(
            type=event.type,
            account_id=channel.account_id,
            channel_id=channel.id,
            conversation_id=conversation.id,
            enquiry_id=conversation.enquiry_id,
            sequence=conversation.take_sequence(),
            occurred_at=event.occurred_at,
            traceparent=event.traceparent,
            data={event.name: event.data},
        )
    )


def _pass_on_for_account(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    event = arrival.event
    scene.work.announce(
        NewEvent(
            type=event.type,
            account_id=channel.account_id,
            channel_id=channel.id,
            occurred_at=event.occurred_at,
            traceparent=event.traceparent,
            data={event.name: event.data},
        )
    )
