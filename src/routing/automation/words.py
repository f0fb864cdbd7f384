"""A channel's own words: welcome and away.

They are said in every link mode: a channel that leaves its contacts to a bot or to an endpoint may
switch them off.
"""

from typing import Final

from gateway.db.messages import Message
from gateway.domain.automatic_texts import compose
from gateway.domain.text_limit import text_limit_of
from gateway.messaging.acceptance import Outgoing
from gateway.messaging.automatic import say
from routing.enquiries import Actor
from routing.held import HeldEnquiry

# What stands in the timeline for the staff to read.
BOT_MESSAGE: Final = "bot_message"
_BOT: Final = Actor("bot")


async def welcome(held: HeldEnquiry) -> None:
    """Greet a contact whose very first message on the channel has just begun this enquiry.

    The caller knows that under the conversation's lock. Where the greeting cannot be sent, there is
    none later.
    """
    await _say(held, "welcome", cause=f"welcome:{held.conversation.id}")


async def tell_of_miss(held: HeldEnquiry) -> None:
    """Say that nobody is there about an enquiry that was just missed, and inform the staff.

    The contact is told once an enquiry, however often it is reopened and missed again, and not at
    all where the enquiry came of messages that had been parked.
    """
    row = held.row
    if not row.late and row.away_at is None:
        said = await _say(held, "away", cause=f"away:{row.id}")
        if said is not None:
            row.away_at = held.work.now
    if row.custom_info:
        held.note(BOT_MESSAGE, _BOT, {"text": row.custom_info})


async def _say(held: HeldEnquiry, words: str, *, cause: str) -> Message | None:
    channel, work = held.channel, held.work
    settings = channel.messages.get(words) or {}
    if not settings.get("enabled"):
        return None
    text = compose(
        settings["text"],
        contact_name=(await work.addressee(held.conversation)).name,
        channel_name=channel.name,
        limit=text_limit_of(channel.kind, channel.text_limit),
    )
    if not text.strip():
        return None
    outgoing = Outgoing(
        content={"type": "text", "text": text}, automation_cause=cause, enquiry_id=held.row.id
    )
    return await say(work, held.conversation, channel, outgoing)
