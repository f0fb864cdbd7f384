"""The contact does something that opens the messaging window, or keeps it open for longer."""

from gateway.db.channels import Channel
from gateway.db.conversations import Conversation
from routing.inbound.arrivals import Arrival
from routing.inbound.scene import Scene
from routing.windows import next_notice, notice_timer


def open_window(
    scene: Scene, channel: Channel, conversation: Conversation, arrival: Arrival
) -> None:
    """Note an action that opens the window, and have it told before the window closes.

    A notice that is due some time stays as it is: the timer looks when it fires, and waits on where
    the contact acted meanwhile. So most actions set none.
    """
    occurred_at = arrival.event.occurred_at
    if conversation.last_action_at is None or occurred_at > conversation.last_action_at:
        conversation.last_action_at = occurred_at
    watched = conversation.window_notice_at
    if scene.window_notice is None or (watched is not None and watched > scene.work.now):
        return
    due_at = next_notice(channel, conversation, notice=scene.window_notice, now=scene.work.now)
    if due_at is not None:
        conversation.window_notice_at = due_at
        scene.set_timer(notice_timer(conversation, due_at=due_at, notice=scene.window_notice))
