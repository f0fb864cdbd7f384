"""A message as outside sees it: in answers, in events and in webhooks."""

from datetime import datetime
from typing import Any

from gateway.contracts.moments import rfc3339
from gateway.db.messages import Message
from gateway.domain.display_name import with_name
from gateway.domain.message import MessageStatus


def message_resource(message: Message, *, hold: str | None = None) -> dict[str, Any]:
    """Return a message's public form; `hold` is why its channel's messages wait, if they do."""
    waits = hold is not None and message.status is MessageStatus.ACCEPTED
    author: dict[str, Any] = {"kind": message.author_kind.value}
    if message.author_id is not None:
        author["id"] = message.author_id
    if message.author_name is not None:
        author["name"] = message.author_name
    return {
        "id": message.id,
        "channel_id": message.channel_id,
        "conversation_id": message.conversation_id,
        "enquiry_id": message.enquiry_id,
        "direction": message.direction.value,
        "author": author,
        "content": message.content,
        "status": message.status.value,
        "hold": {"reason": hold} if waits else None,
        "client_reference": message.client_reference,
        "tag": message.tag,
        "reply_to": message.reply_to,
        "reactions": message.reactions,
        "possibly_duplicate": message.possibly_duplicate,
        "late": message.late,
        "sequence": message.sequence,
        "error": message.error,
        "source_message_id": message.source_message_id,
        "occurred_at": rfc3339(message.occurred_at),
        "accepted_at": rfc3339(message.accepted_at),
        "sent_at": _time(message.sent_at),
        "delivered_at": _time(message.delivered_at),
        "read_at": _time(message.read_at),
        "edited_at": _time(message.edited_at),
        "unsent_at": _time(message.unsent_at),
    }


def content_on_the_wire(message: Message) -> dict[str, Any]:
    """Return what a message says as the platform or the third party is given it.

    An agent's name stands before the text, where the channel wanted that at acceptance.
    """
    content = message.content
    if message.display_name is None or content.get("type") != "text":
        return content
    return content | {"text": with_name(content["text"], message.display_name)}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
