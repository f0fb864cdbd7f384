"""A message as outside sees it: in answers, in events and in webhooks."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from gateway.contracts.moments import rfc3339
from gateway.db.messages import Message
from gateway.domain.display_name import with_name
from gateway.domain.message import MessageStatus

# Of an account and media of it: an address under which it can be had for a while.
Link: TypeAlias = Callable[[str, str], str]


def message_resource(message: Message, *, link: Link, hold: str | None = None) -> dict[str, Any]:
    """Return a message's public form.

    `hold` is why its channel's messages wait, if they do; `link` makes the addresses of media.
    """
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
        "content": shown_content(message.account_id, message.content, link),
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


def shown_content(account_id: str, content: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Return a content with addresses of the media that lies with us."""
    shown = _with_address(account_id, content, link)
    attachments = content.get("attachments")
    if isinstance(attachments, list):
        shown["attachments"] = [
            _with_address(account_id, each, link) if isinstance(each, Mapping) else each
            for each in attachments
        ]
    return shown


def content_on_the_wire(message: Message) -> dict[str, Any]:
    """Return what a message says as the platform or the third party is given it.

    An agent's name stands before the text, where the channel wanted that at acceptance.
    """
    content = message.content
    if message.display_name is None or content.get("type") != "text":
        return content
    return content | {"text": with_name(content["text"], message.display_name)}


def _with_address(account_id: str, described: Mapping[str, Any], link: Link) -> dict[str, Any]:
    media_id = described.get("media_id")
    if not isinstance(media_id, str):
        return dict(described)
    return {**described, "url": link(account_id, media_id)}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
