"""Messaging items: what their parts mean, and what is made of them."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.threads import Thread, Utterance, new_mid
from gateway.sandbox.webhooks import STANDBY_KINDS, kind_of

Item = dict[str, Any]

_SENDERLESS: Final = frozenset({"policy_enforcement", "policy-enforcement", "app_roles"})


def echo_item(thread: Thread, said: Utterance) -> Item:
    """Return the echo of a message of the Page: `sender` and `recipient` change places."""
    message: dict[str, Any] = {"mid": said.mid, "is_echo": True}
    if said.app_id is not None:
        message["app_id"] = int(said.app_id) if said.app_id.isdecimal() else said.app_id
    if said.metadata is not None:
        message["metadata"] = said.metadata
    if said.text is not None:
        message["text"] = said.text
    if said.attachments:
        message["attachments"] = [_echoed(attachment) for attachment in said.attachments]
    if said.reply_to is not None:
        message["reply_to"] = {"mid": said.reply_to}
    return {
        "sender": {"id": thread.source_id},
        "recipient": {"id": thread.psid},
        "timestamp": said.at,
        "message": message,
    }


def completed(raw: Mapping[str, Any], *, source_id: str, psid: str, now: int) -> Item:
    """Return an item with what it lacks filled in, and without what is null in it.

    An echo goes from the Page to the person; policy and role items have no sender at all.
    """
    message = raw.get("message")
    is_echo = isinstance(message, Mapping) and message.get("is_echo") is True
    sender, recipient = (source_id, psid) if is_echo else (psid, source_id)
    item: Item = {"recipient": {"id": recipient}, "timestamp": now, **raw}
    if not _SENDERLESS & raw.keys():
        item = {"sender": {"id": sender}, **item}
    for name in ("message", "postback"):
        if isinstance(item.get(name), Mapping):
            item[name] = _without_nulls({"mid": new_mid(), **item[name]})
    return _without_nulls(item)


def _without_nulls(item: Mapping[str, Any]) -> Item:
    return {key: value for key, value in item.items() if value is not None}


def opens_window(item: Item) -> bool:
    """Say whether an event is an action of the person that opens the 24 hours."""
    message, reaction = item.get("message"), item.get("reaction")
    if isinstance(message, Mapping):
        return message.get("is_echo") is not True
    if isinstance(reaction, Mapping):
        return reaction.get("action") == "react"
    return isinstance(item.get("postback"), Mapping) or isinstance(item.get("referral"), Mapping)


def millis_of(timestamp: object) -> int | None:
    """Return a timestamp in milliseconds; Meta writes some in seconds, some as text."""
    try:
        number = int(timestamp) if isinstance(timestamp, int | str) else None
    except ValueError:
        return None
    if number is None or number <= 0:
        return None
    seconds = number < 10**12
    return number * 1000 if seconds else number


def is_shared(item: Item) -> bool:
    """Say whether an item also goes, as standby, to apps that do not control the thread."""
    return kind_of(item) in STANDBY_KINDS


def for_standby(item: Item) -> Item:
    """Return an item as apps see it that do not control the thread: a button keeps its payload."""
    postback = item.get("postback")
    if not isinstance(postback, Mapping):
        return item
    return {**item, "postback": {k: v for k, v in postback.items() if k != "payload"}}


def subscribed(fields: tuple[str, ...], name: str, *, instagram: bool) -> bool:
    """Say whether the fields of a Page's subscription cover an event.

    Instagram's fields are the app's; here an account follows the `messages` field of its Page.
    """
    return name in fields or (instagram and "messages" in fields)


def _echoed(attachment: Mapping[str, Any]) -> Item:
    """Return an attachment as an echo shows it: ids are numbers, titles beside the payload."""
    payload = attachment.get("payload")
    shown: Item = dict(payload) if isinstance(payload, Mapping) else {}
    medium_id = shown.get("attachment_id")
    if isinstance(medium_id, str) and medium_id.isdecimal():
        shown["attachment_id"] = int(medium_id)
    shown.pop("is_reusable", None)
    if attachment.get("type") == "template":
        return {"title": "", "url": None, "type": "template", "payload": shown}
    return {"type": attachment.get("type"), "payload": shown}
