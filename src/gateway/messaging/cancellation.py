"""Takes back messages that have not left yet."""

from typing import Any, Final

from gateway.db.conversations import Conversation
from gateway.db.messages import find_unsent, find_unsent_automatic
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import MessageStatus
from gateway.messaging.transitions import move_message

_ANSWERED: Final = "It was to be sent automatically, and a person answered first."
_ERASED: Final = "The contact was erased."


async def cancel_automatic_messages(work: UnitOfWork, conversation: Conversation) -> None:
    """Cancel what would be said automatically in a locked conversation: a person has answered.

    The sender finds such a message no longer `accepted` and settles its delivery without a call.
    """
    unsent = await find_unsent_automatic(work.connection, conversation.account_id, conversation.id)
    for message in unsent:
        await move_message(
            work, conversation, message, MessageStatus.FAILED, error=_cancelled(_ANSWERED)
        )


async def cancel_erased_messages(work: UnitOfWork, conversation: Conversation) -> None:
    """Cancel all that has not left for a contact that is erased, and what it said."""
    for message in await find_unsent(work.connection, conversation.account_id, conversation.id):
        await move_message(
            work,
            conversation,
            message,
            MessageStatus.FAILED,
            error=_cancelled(_ERASED),
            content={"type": "erased"},
            client_reference=None,
        )


def _cancelled(detail: str) -> dict[str, Any]:
    return {"code": "cancelled", "detail": detail, "retryable": False, "remedy": None}
