"""Messages and what happens to one: echo, edit, unsending, reaction; and pressed buttons.

Shapes: Messenger Platform webhook events `messages`, `message_echoes`, `message_edits`,
`message_reactions`, `messaging_postbacks`, and Instagram's `messages`.
"""

from typing import Final

from gateway.contracts.canonical import Json
from gateway.meta.attachments import FALLBACK, STORY_MENTION, attachment
from gateway.meta.fields import (
    as_members,
    as_whole_number,
    bad_field,
    elements,
    flag,
    loose_members,
    loose_text,
    optional_id,
    optional_members,
    optional_text,
    present,
    required_id,
    verbatim,
)
from gateway.meta.items import Fact, Item, ref_id, text_hash
from gateway.meta.referrals import referral

_PLAIN: Final = frozenset({"mid", "text"})


def message(item: Item, value: Json) -> Fact:
    """Recognise a message: a contact's, our side's echo, or one that was taken back."""
    fields = as_members(value, "message")
    is_echo = flag(fields, "is_echo", "message") or item.by == "page"
    contact_id = item.contact_id(is_echo=is_echo)
    if flag(fields, "is_deleted", "message"):
        mid = required_id(fields, "mid", "message")
        data: dict[str, Json] = {"message_id": mid, "by": "page" if is_echo else "contact"}
        return Fact("gateway.message.unsent.v1", data, contact_id, (mid,))
    mid_or_none = optional_id(fields, "mid", "message")
    data = _content(fields, mid_or_none)
    if "prior_message" in item.fields:
        prior = loose_members(item.fields, "prior_message")
        data |= present(prior_contact_id=ref_id(prior.get("identifier")))
    unique = item.without_own_id() if mid_or_none is None else (mid_or_none,)
    if not is_echo:
        return Fact("gateway.message.received.v1", data, contact_id, unique)
    data |= present(
        app_id=optional_id(fields, "app_id", "message"),
        metadata=optional_text(fields, "metadata", "message"),
    )
    return Fact("gateway.message.echoed.v1", data, contact_id, unique)


def edit(item: Item, value: Json) -> Fact:
    """Recognise an edited message."""
    fields = as_members(value, "message_edit")
    mid = required_id(fields, "mid", "message_edit")
    text = optional_text(fields, "text", "message_edit")
    number = fields.get("num_edit")
    data = {"message_id": mid, "by": item.by}
    data |= present(text=text, edit_number=as_whole_number(number))
    unique = (mid, verbatim(number), text_hash(text))
    return Fact("gateway.message.edited.v1", data, item.contact_id(), unique)


def reaction(item: Item, value: Json) -> Fact:
    """Recognise a reaction that was put on a message or taken off it."""
    fields = as_members(value, "reaction")
    mid = required_id(fields, "mid", "reaction")
    action = fields.get("action")
    if action not in ("react", "unreact"):
        raise bad_field("reaction.action")
    emoji = optional_text(fields, "emoji", "reaction")
    data = {"message_id": mid, "action": action, "by": item.by}
    data |= present(reaction=loose_text(fields, "reaction"), emoji=emoji)
    unique = (mid, item.sender_id or "", action, emoji or "", item.time_text)
    return Fact("gateway.message.reacted.v1", data, item.contact_id(), unique)


def postback(item: Item, value: Json) -> Fact:
    """Recognise a pressed button: Get Started, menu, ice breaker, template."""
    fields = as_members(value, "postback")
    mid = optional_id(fields, "mid", "postback")
    payload = optional_text(fields, "payload", "postback")
    data = present(id=mid, title=loose_text(fields, "title"), payload=payload)
    came_from = optional_members(fields, "referral", "postback")
    if came_from is not None:
        data["referral"] = referral(came_from)
    unique: tuple[str, ...] = (item.sender_id or "", item.time_text, text_hash(payload))
    if mid is not None:
        unique = (mid,)
    return Fact("gateway.postback.received.v1", data, item.contact_id(), unique)


def _content(fields: dict[str, Json], mid: str | None) -> dict[str, Json]:
    text = optional_text(fields, "text", "message")
    if fields.keys() <= _PLAIN:
        # Most have nothing else.
        kind = "unsupported" if text is None else "text"
        plain: dict[str, Json] = {"id": mid, "type": kind, "attachments": []}
        return plain if text is None else plain | {"text": text}
    attachments = [attachment(each) for each in elements(fields, "attachments", "message")]
    data: dict[str, Json] = {
        "id": mid,
        "type": _type(text, attachments),
        "attachments": attachments,
    }
    if text is not None:
        data["text"] = text
    quick_reply = optional_members(fields, "quick_reply", "message")
    if quick_reply is not None:
        payload = optional_text(quick_reply, "payload", "message.quick_reply")
        data |= present(quick_reply_payload=payload)
    answered = optional_members(fields, "reply_to", "message")
    if answered is not None:
        data["reply_to"] = _reply_to(answered)
    came_from = optional_members(fields, "referral", "message")
    if came_from is not None:
        data["referral"] = referral(came_from)
    if attachments and any(each["type"] == STORY_MENTION for each in attachments):
        data["is_story_mention"] = True
    if "commands" in fields:
        data["commands"] = _commands(fields["commands"])
    return data


def _type(text: str | None, attachments: list[dict[str, Json]]) -> str:
    # A shared link comes as text with a fallback beside it: what was said is the text.
    if not attachments:
        return "unsupported" if text is None else "text"
    if text is None or any(each["type"] != FALLBACK for each in attachments):
        kind: str = attachments[0]["type"]
        return kind
    return "text"


def _reply_to(fields: dict[str, Json]) -> dict[str, Json]:
    data = present(message_id=optional_id(fields, "mid", "message.reply_to"))
    if flag(fields, "is_self_reply", "message.reply_to"):
        data["is_self_reply"] = True
    story = optional_members(fields, "story", "message.reply_to")
    if story is not None:
        data["story"] = present(id=loose_text(story, "id"), url=loose_text(story, "url"))
    return data


def _commands(value: Json) -> list[str]:
    commands = value if isinstance(value, list) else []
    named = [each.get("name") for each in commands if isinstance(each, dict)]
    return [name for name in named if isinstance(name, str)]
