"""What a bot hears: what the contact has just said, or said last."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text

from routing.bots import Said
from routing.held import HeldEnquiry


@dataclass(frozen=True, slots=True)
class Words:
    """What a contact said: the message's id, and its content."""

    message_id: str
    content: Mapping[str, Any]

    def heard(self, *, first: bool) -> Said:
        """Return them as rules are held against them; `first` in the bot's ears."""
        # The title of a pressed button is ours; what it stands for is the payload.
        pressed = self.content.get("type") == "postback"
        return Said(
            text=None if pressed else self.content.get("text"),
            payload=self.content.get("payload" if pressed else "quick_reply_payload"),
            first=first,
        )


# Who has only greeted has not answered; a late message moves nothing.
_LAST: Final = text(
    """
    SELECT id, content, direction = 'inbound' AND enquiry_id = :enquiry_id AS unanswered
    FROM messages
    WHERE account_id = :account_id AND conversation_id = :conversation_id AND NOT late
      AND NOT (direction = 'outbound' AND status = 'failed')
      AND NOT (author_kind = 'system' AND automation_cause IS NOT NULL)
    ORDER BY sequence DESC LIMIT 1
    """
)


async def find_unanswered(held: HeldEnquiry) -> Words | None:
    """Return what the contact said last in an enquiry, if nobody has answered it."""
    result = await held.work.connection.execute(
        _LAST,
        {
            "account_id": held.row.account_id,
            "conversation_id": held.conversation.id,
            "enquiry_id": held.row.id,
        },
    )
    row = result.one_or_none()
    return Words(row.id, row.content) if row is not None and row.unanswered else None
