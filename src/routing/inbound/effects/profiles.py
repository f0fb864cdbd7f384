"""A third party tells us about a contact."""

from gateway.db.channels import Channel
from gateway.db.first_contact import update_profile
from routing.inbound.arrivals import Arrival
from routing.inbound.scene import Scene


async def receive_contact(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Write a contact's profile; what is left out stays as it is."""
    known, _ = await scene.meet(channel, arrival)
    known.name = await update_profile(scene.work, channel, known.contact_id, arrival.event.data)
