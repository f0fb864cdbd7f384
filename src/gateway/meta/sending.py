"""What is sent to Graph's Send API: messages and sender actions, as it wants them.

Shape: `POST /{page}/messages` of the Messenger Platform.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.delivery import SendError

# Contacts of plugins have no id of their own yet.
_USER_REF: Final = "ref."
_MEDIA: Final = frozenset({"image", "audio", "video", "file"})
_NO_MEDIA: Final = SendError(
    "media-not-supported",
    "The message has no address from which Meta could fetch the file.",
    "Send the file by a public address.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMessage:
    """A message to a person; ids are Meta's.

    `metadata` comes back in the echo. `comment_id` makes it a private reply to a comment.
    """

    contact_id: str
    content: Mapping[str, Any]
    metadata: str
    tag: str | None = None
    reply_to_mid: str | None = None
    persona_id: str | None = None
    comment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAction:
    """Typing, seen or a reaction; `mid` and `reaction` belong to `react` and `unreact`."""

    contact_id: str
    action: str
    mid: str | None = None
    reaction: str | None = None


class UnsendableContentError(Exception):
    """A message's content has nothing that Graph could be given."""

    def __init__(self, error: SendError) -> None:
        super().__init__(error.detail)
        self.error = error


def message_body(message: PageMessage) -> dict[str, Any]:
    """Return the body of a send.

    Raises:
        UnsendableContentError: There is nothing in the content that Graph takes.
    """
    body: dict[str, Any] = {
        "recipient": _recipient(message.contact_id, message.comment_id),
        "messaging_type": "RESPONSE",
        "message": _content(message.content) | {"metadata": message.metadata},
    }
    if message.tag is not None:
        body |= {"messaging_type": "MESSAGE_TAG", "tag": message.tag}
    if message.reply_to_mid is not None:
        body["reply_to"] = {"mid": message.reply_to_mid}
    if message.persona_id is not None:
        body["persona_id"] = message.persona_id
    return body


def action_body(action: PageAction) -> dict[str, Any]:
    """Return the body of a sender action, which takes nothing beside it."""
    body: dict[str, Any] = {
        "recipient": _recipient(action.contact_id, None),
        "sender_action": action.action,
    }
    if action.mid is not None:
        payload = {"message_id": action.mid}
        if action.reaction is not None:
            payload["reaction"] = action.reaction
        body["payload"] = payload
    return body


def _recipient(contact_id: str, comment_id: str | None) -> dict[str, str]:
    if comment_id is not None:
        return {"comment_id": comment_id}
    if contact_id.startswith(_USER_REF):
        return {"user_ref": contact_id.removeprefix(_USER_REF)}
    return {"id": contact_id}


def _content(content: Mapping[str, Any]) -> dict[str, Any]:
    kind = content.get("type")
    body: dict[str, Any]
    if kind == "text":
        body = {"text": content["text"]}
    elif kind == "template":
        body = {"attachment": {"type": "template", "payload": content["template"]}}
    elif kind in _MEDIA and content.get("attachment_id"):
        payload = {"attachment_id": content["attachment_id"]}
        body = {"attachment": {"type": kind, "payload": payload}}
    elif kind in _MEDIA and content.get("url"):
        body = {"attachment": {"type": kind, "payload": {"url": content["url"]}}}
    else:
        raise UnsendableContentError(_NO_MEDIA)
    quick_replies = content.get("quick_replies")
    if quick_replies:
        body["quick_replies"] = [_quick_reply(each) for each in quick_replies]
    return body


def _quick_reply(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return a quick reply with what Graph requires of one that has a title."""
    full = {"content_type": "text", **reply}
    if full["content_type"] == "text":
        full.setdefault("payload", full["title"])
    return full
