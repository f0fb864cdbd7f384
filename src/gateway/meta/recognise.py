"""Which kind an item of a `messaging` or `standby` array is: one function for each.

The kind is the key that an item has beside sender, recipient and timestamp. Should it have several,
the first of `_KINDS` is the kind, because an item is always exactly one event.
"""

from typing import Final

from gateway.meta import answers, marks, messages, referrals, threads
from gateway.meta.fields import UnusableItemError
from gateway.meta.items import Fact, Item, Recogniser

_KINDS: Final[dict[str, Recogniser]] = {
    "message": messages.message,
    "message_edit": messages.edit,
    "postback": messages.postback,
    "reaction": messages.reaction,
    "delivery": marks.delivery,
    "read": marks.read,
    "referral": referrals.referred,
    "optin": referrals.opted_in,
    "optout": referrals.opted_out,
    "pass_thread_control": threads.thread_passed,
    "take_thread_control": threads.thread_taken,
    "request_thread_control": threads.thread_requested,
    "app_roles": threads.app_roles,
    "policy_enforcement": threads.policy,
    "policy-enforcement": threads.policy,
    "account_linking": threads.linking,
    "messaging_feedback": answers.form_feedback,
    "response_feedback": answers.response_feedback,
    "order": answers.order,
    "appointment": answers.appointment_item,
    "appointment_booking": answers.appointment_item,
}
_RANK: Final = {key: rank for rank, key in enumerate(_KINDS)}

# What Meta documents and the contract has no type for, by reason.
_UNTYPED: Final = {
    "payment": "payment",
    "pre_checkout": "checkout",
    "checkout_update": "checkout",
    "game_play": "game-play",
    "message_request": "message-request",
    "lead": "lead",
    "in_thread_lead_form_submit": "lead",
}


def kinds_of(item: Item) -> list[str]:
    """Return the keys of an item that name a kind, the decisive one first."""
    found = [key for key, value in item.fields.items() if key in _KINDS and value is not None]
    return sorted(found, key=_RANK.__getitem__) if len(found) > 1 else found


def recognise(item: Item, kinds: list[str]) -> Fact:
    """Return the item in our words.

    Raises:
        UnusableItemError: it has no kind, or not the fields of its kind.
    """
    if kinds:
        return _KINDS[kinds[0]](item, item.fields[kinds[0]])
    for key, reason in _UNTYPED.items():
        if key in item.fields:
            raise UnusableItemError(reason)
    raise UnusableItemError("unknown-kind")
