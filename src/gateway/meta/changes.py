"""Items of a `changes` array: comments, labels, everything else about a Page, permissions.

Shapes: Graph API webhooks `feed`, `inbox_labels`, `ratings`, `mention`, …; Instagram's `comments`,
`live_comments`, `mentions`; the object `permissions`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.contracts.canonical import Json, canonical_hash
from gateway.contracts.inbound import NO_CONTACT
from gateway.contracts.moments import moment_text
from gateway.meta.fields import (
    UnusableItemError,
    as_id,
    as_members,
    bad_field,
    elements,
    loose_members,
    loose_text,
    optional_text,
    present,
    required_id,
    verbatim,
)
from gateway.meta.items import UNRECOGNISED_TYPE, Fact

# The names a value may have for its own time, the first that is there counts.
_OWN_TIMES: Final = ("created_time", "timestamp", "time")

# Fields whose values are items of a `messaging` array: the dashboard's "Test" button sends them so.
MESSAGING_FIELDS: Final = frozenset(
    {
        "messages",
        "message_echoes",
        "message_edit",
        "message_edits",
        "message_deliveries",
        "message_reads",
        "message_reactions",
        "messaging_account_linking",
        "messaging_appointments",
        "messaging_checkout_updates",
        "messaging_feedback",
        "messaging_game_plays",
        "messaging_handover",
        "messaging_handovers",
        "messaging_in_thread_lead_form_submit",
        "messaging_optins",
        "messaging_optouts",
        "messaging_payments",
        "messaging_policy_enforcement",
        "messaging_postbacks",
        "messaging_pre_checkouts",
        "messaging_referral",
        "messaging_referrals",
        "messaging_seen",
        "response_feedback",
        "send_cart",
        "standby",
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `fields` is fit for further use, `original` is the change as it came.

    `entry_time_text` is the entry's time as it came; `user_id` the person a permission is about.
    """

    fields: dict[str, Json]
    original: Json
    field: str
    entry_time_text: str
    user_id: str | None

    @property
    def value(self) -> Json:
        """What changed."""
        return self.fields.get("value")

    def own_time(self) -> Json:
        """Return the value's own time as it came, None where it has none."""
        value = self.value
        if not isinstance(value, dict):
            return None
        found = (value[name] for name in _OWN_TIMES if value.get(name) is not None)
        return next(found, None)

    def unique(self) -> tuple[str, ...]:
        """Return what tells this change from others of its type and source."""
        value = self.original.get("value", self.original)
        time_text = self.entry_time_text if self.own_time() is None else ""
        return (self.field, canonical_hash(value).hex(), time_text)


def recognise_change(change: Change) -> Fact:
    """Return a change of a Page or an Instagram account in our words.

    Raises:
        UnusableItemError: it has no type here, or not the fields of its type.
    """
    if not change.field:
        raise UnusableItemError("field-missing")
    return _FIELDS.get(change.field, _page_change)(change)


def recognise_permission(change: Change) -> Fact:
    """Return a change of the object `permissions` in our words; the verb may stand beside `value`.

    Raises:
        UnusableItemError: it does not say what became of the permission.
    """
    if not change.field:
        raise UnusableItemError("field-missing")
    value = loose_members(change.fields, "value")
    holder = value if "verb" in value else change.fields
    verb = optional_text(holder, "verb", "permission")
    if not verb:
        raise bad_field("permission.verb")
    target_ids = [as_id(each) for each in elements(value, "target_ids", "permission")]
    if None in target_ids:
        raise bad_field("permission.target_ids")
    data = {"permission": change.field, "verb": verb, "target_ids": target_ids}
    data |= present(user_id=change.user_id)
    return Fact("gateway.permission.changed.v1", data, NO_CONTACT, change.unique())


def unrecognised_change(change: Change, reason: str, detail: str | None = None) -> Fact:
    """Return the fact that a change has no type here."""
    data = present(reason=reason, detail=detail)
    unique = ("", _time_text(change), canonical_hash(change.original).hex())
    return Fact(UNRECOGNISED_TYPE, data, NO_CONTACT, unique)


def _time_text(change: Change) -> str:
    own = change.own_time()
    return change.entry_time_text if own is None else verbatim(own)


def _feed(change: Change) -> Fact:
    value = as_members(change.value, "feed.value")
    if value.get("item") != "comment":
        return _page_change(change)
    return _comment_fact(change, required_id(value, "comment_id", "feed"), value)


def _comment(change: Change) -> Fact:
    value = as_members(change.value, "comments.value")
    return _comment_fact(change, required_id(value, "id", "comments"), value)


def _comment_fact(change: Change, comment_id: str, value: dict[str, Json]) -> Fact:
    author = loose_members(value, "from")
    name = loose_text(author, "name")
    text = loose_text(value, "message")
    post_id = as_id(value.get("post_id"))
    data = present(
        id=comment_id,
        field=change.field,
        verb=loose_text(value, "verb"),
        text=loose_text(value, "text") if text is None else text,
        post_id=as_id(loose_members(value, "media").get("id")) if post_id is None else post_id,
        parent_id=as_id(value.get("parent_id")),
        author=present(
            id=as_id(author.get("id")),
            name=loose_text(author, "username") if name is None else name,
        ),
        created_at=moment_text(change.own_time()),
    )
    return Fact("gateway.comment.received.v1", data, NO_CONTACT, change.unique())


def _label(change: Change) -> Fact:
    value = as_members(change.value, "inbox_labels.value")
    contact_id = required_id(loose_members(value, "user"), "id", "inbox_labels.user")
    label = loose_members(value, "label")
    name = loose_text(label, "page_label_name")
    data = present(
        id=as_id(label.get("id")),
        name=loose_text(label, "name") if name is None else name,
        action=loose_text(value, "action"),
    )
    return Fact("gateway.label.changed.v1", data, contact_id, change.unique())


def _lead(_change: Change) -> Fact:
    raise UnusableItemError("lead")


def _page_change(change: Change) -> Fact:
    value = change.value
    words = value if isinstance(value, dict) else {}
    data = present(
        field=change.field,
        item=loose_text(words, "item"),
        verb=loose_text(words, "verb"),
        value=value,
    )
    return Fact("gateway.page.changed.v1", data, NO_CONTACT, change.unique())


_FIELDS: Final[dict[str, Callable[[Change], Fact]]] = {
    "feed": _feed,
    "comments": _comment,
    "live_comments": _comment,
    "inbox_labels": _label,
    "leadgen": _lead,
}
