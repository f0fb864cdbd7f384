"""Who holds the thread at the platform."""

from gateway.db.channels import Channel
from gateway.domain.conversation import ThreadOwner, owner_named
from routing.inbound.arrivals import Arrival
from routing.inbound.effects.passing import pass_on
from routing.inbound.effects.thread_owner import note_owner
from routing.inbound.scene import Scene


async def receive_thread_control(scene: Scene, channel: Channel, arrival: Arrival) -> None:
    """Note who owns the thread now, and pass the event on."""
    _, conversation = await scene.meet(channel, arrival)
    data = arrival.event.data
    await pass_on(scene, channel, arrival)
    if not arrival.event.type.endswith(("passed.v1", "taken.v1")):
        return
    new_owner = data.get("new_owner_app_id")
    if new_owner is None:
        # Only who lost it is told: another app, or nobody, has it now.
        owner = (
            ThreadOwner.OTHER_APP
            if data.get("previous_owner_app_id") == channel.meta_app_id
            else ThreadOwner.IDLE
        )
    else:
        owner = owner_named(new_owner, ours=channel.meta_app_id)
    note_owner(scene, conversation, owner, arrival)
