"""Takes back messages that have not left yet."""

from typing import Any, Final

from gateway.db.conversations import Conversation
from gateway.db.messages import find_unsent_automatic
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import MessageStatus
from gateway.messaging.transitions import move_message

_CANCELLED: Final[dict[str, Any]] = {
    "code": "cancelled",
    "detail": "It was to be sent automatically, and a person answered first.",
    "retryable": False,
    "remedy": None,
}


async def cancel_automatic_messages(work: UnitOfWork, conversation: Conversation) -> None:
    """Cancel what would be said automatically in a locked conversation: a person has answered.

    The sender finds such a message no longer `accepted` and settles its delivery without a call.
    """
    unsent = await find_unsent_automatic(work.connection, conversation.account_id, conversation.id)
    for message in unsent:
        await move_message(
            work, conversation, message, MessageStatus.FAILED, error=dict(_CANCELLED)
        )
