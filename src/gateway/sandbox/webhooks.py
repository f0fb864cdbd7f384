"""Webhook bodies as Meta writes and signs them."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.world import App

# Meta signs the escaped form and sends that very form: non-ASCII as \u and lower-case digits, a
# slash with a backslash, and three characters as \u and upper-case ones.
_ESCAPES: Final = str.maketrans({"/": "\\/", "<": "\\u003C", "%": "\\u0025", "@": "\\u0040"})

_MESSAGING_FIELDS: Final[Mapping[str, str]] = {
    "message": "messages",
    "message_edit": "message_edits",
    "delivery": "message_deliveries",
    "read": "message_reads",
    "reaction": "message_reactions",
    "postback": "messaging_postbacks",
    "optin": "messaging_optins",
    "optout": "messaging_optouts",
    "referral": "messaging_referrals",
    "pass_thread_control": "messaging_handovers",
    "take_thread_control": "messaging_handovers",
    "request_thread_control": "messaging_handovers",
    "app_roles": "messaging_handovers",
    "policy_enforcement": "messaging_policy_enforcement",
    "policy-enforcement": "messaging_policy_enforcement",
    "account_linking": "messaging_account_linking",
    "messaging_feedback": "messaging_feedback",
    "response_feedback": "response_feedback",
    "order": "send_cart",
}
STANDBY_KINDS: Final = frozenset({"message", "read", "delivery", "postback", "reaction"})


def body_of(
    *, source_id: str, instagram: bool, channel: str, item: Mapping[str, Any], now: int
) -> bytes:
    """Return a webhook's body with one item in `messaging`, `standby` or `changes`.

    `entry.time` is in milliseconds for messaging and in seconds for changes.
    """
    entry = {
        "id": source_id,
        "time": now // 1000 if channel == "changes" else now,
        channel: [item],
    }
    return escaped({"object": "instagram" if instagram else "page", "entry": [entry]})


def escaped(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return JSON in the escaped form that Meta sends and signs."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.translate(_ESCAPES).encode("ascii")


def signed_headers(app: App, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook, with both of Meta's signatures of its very bytes."""
    key = app.secret.encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "facebookexternalua",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


def field_of(item: Mapping[str, Any], *, instagram: bool) -> str:
    """Return the field a Page must have subscribed for an item to be sent.

    Instagram has no field for echoes, which come with `messages`, and calls reads `messaging_seen`;
    both follow the Page's own subscription here.
    """
    if isinstance(item.get("field"), str) and "value" in item:
        return str(item["field"])
    kind = kind_of(item)
    message = item.get("message")
    if kind == "message" and isinstance(message, Mapping) and message.get("is_echo") is True:
        return "messages" if instagram else "message_echoes"
    return _MESSAGING_FIELDS.get(kind, "messages")


def kind_of(item: Mapping[str, Any]) -> str:
    """Return the key that says what an item is; `message` for one nobody knows."""
    return next((key for key in _MESSAGING_FIELDS if key in item), "message")
