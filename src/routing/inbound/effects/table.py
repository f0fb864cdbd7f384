"""Which effect each type of inbound event has."""

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.db.channels import Channel
from routing.inbound.arrivals import Arrival
from routing.inbound.effects.corrections import receive_edit, receive_unsent
from routing.inbound.effects.echoes import receive_echo
from routing.inbound.effects.marks import (
    receive_delivery,
    receive_reaction,
    receive_read,
    receive_status,
)
from routing.inbound.effects.passing import pass_on
from routing.inbound.effects.profiles import receive_contact
from routing.inbound.effects.speaking import receive_message, receive_postback
from routing.inbound.effects.threads import receive_thread_control
from routing.inbound.scene import Scene

Effect = Callable[[Scene, Channel, Arrival], Awaitable[None]]

_EFFECTS: Final[dict[str, Effect]] = {
    "gateway.message.received.v1": receive_message,
    "gateway.message.echoed.v1": receive_echo,
    "gateway.message.edited.v1": receive_edit,
    "gateway.message.unsent.v1": receive_unsent,
    "gateway.message.delivered.v1": receive_delivery,
    "gateway.message.read.v1": receive_read,
    "gateway.message.reacted.v1": receive_reaction,
    "gateway.postback.received.v1": receive_postback,
    "gateway.thread_control.passed.v1": receive_thread_control,
    "gateway.thread_control.taken.v1": receive_thread_control,
    "gateway.thread_control.requested.v1": receive_thread_control,
    "gateway.status.reported.v1": receive_status,
    "gateway.contact.updated.v1": receive_contact,
}


def effect_of(event_type: str) -> Effect:
    """Return what an event of this type does; types without an effect are passed on."""
    return _EFFECTS.get(event_type, pass_on)
