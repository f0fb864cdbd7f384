"""What is said when an enquiry has moved: by the bot that got it, and by the channel."""

import structlog

from routing.automation.bots import HandOver, has_bot, take_up
from routing.automation.words import tell_of_miss
from routing.held import HeldEnquiry

log = structlog.get_logger()


async def after_move(held: HeldEnquiry, hand_over: HandOver) -> None:
    """Say what a move calls for, before the enquiry is saved; that may move it on.

    A bot that gets the enquiry answers what the contact said, and may hand over to another bot,
    which does the same. None is asked twice about the same words.
    """
    asked: set[str] = set()
    while held.was_given and has_bot(held):
        held.was_given = False
        bot_id = (held.row.destination or {})["id"]
        if bot_id in asked:
            log.warning("bot.asked_in_a_circle", bot_id=bot_id, enquiry_id=held.row.id)
            break
        asked.add(bot_id)
        await take_up(held, hand_over)
    if held.was_missed:
        held.was_missed = False
        await tell_of_miss(held)
