"""One item of a `messaging` or `standby` array: whose it is, when, and which kind.

An item's kind is the key it has beside sender, recipient and timestamp. Should it have several, the
first in the order of `_KINDS` is the kind, for an item is always one event.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from gateway.contracts.canonical import Json, canonical_hash
from gateway.contracts.inbound import NO_CONTACT
from gateway.meta.fields import UnusableItemError, as_id

UNKNOWN_SOURCE: Final = "-"
UNRECOGNISED_TYPE: Final = "gateway.item.unrecognised.v1"


class Fact(NamedTuple):
    """An item in our words, and the parts that tell it from all others of its type and source."""

    type: str
    data: dict[str, Json]
    contact_id: str
    unique: tuple[str, ...]


class Item(NamedTuple):
    """One item with what its surroundings say about it.

    `fields` is fit for further use, `original` is the item as it came. `sender_id` and
    `recipient_id` are None where the item does not name them. `time_text` is the item's own
    timestamp as it came, else the entry's, else empty.
    """

    fields: dict[str, Json]
    original: Json
    source_id: str
    sender_id: str | None
    recipient_id: str | None
    time_text: str
    arrival: datetime

    @property
    def by(self) -> str:
        """Who did it: the contact, or somebody for us (`page`)."""
        return "page" if self.sender_id == self.source_id else "contact"

    def contact_id(self, *, is_echo: bool = False, otherwise: str | None = None) -> str:
        """Return the contact: the sender, or the recipient of what our side did, or `otherwise`.

        Raises:
            UnusableItemError: there is none.
        """
        ours = is_echo or self.sender_id == self.source_id
        contact_id = (self.recipient_id if ours else self.sender_id) or otherwise
        if self.source_id == UNKNOWN_SOURCE:
            raise UnusableItemError("source-missing")
        if contact_id is None:
            raise UnusableItemError("contact-missing")
        if contact_id == self.source_id:
            raise UnusableItemError("contact-is-source")
        return contact_id

    def without_own_id(self) -> tuple[str, str, str]:
        """Return what makes an item unique that has no id: sender, timestamp, hash of it all."""
        return (self.sender_id or "", self.time_text, canonical_hash(self.original).hex())


def party_id(value: Json) -> str | None:
    """Return the id of a sender or recipient; of one known by `user_ref` only, `ref.<value>`."""
    if not isinstance(value, dict):
        return None
    found = as_id(value.get("id"))
    if found is not None:
        return found
    return ref_id(value.get("user_ref"))


def ref_id(value: Json) -> str | None:
    """Return the contact id of a person whom only a plug-in's `user_ref` names."""
    ref = as_id(value)
    return None if ref is None else as_id(f"ref.{ref}")


def text_hash(text: str | None) -> str:
    """Return the hash of a text for an event's id, an empty text for none."""
    if text is None:
        return ""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def unrecognised(item: Item, reason: str, detail: str | None = None) -> Fact:
    """Return the fact that an item has no type here."""
    try:
        contact_id = item.contact_id()
    except UnusableItemError:
        contact_id = NO_CONTACT
    data = {"reason": reason} if detail is None else {"reason": reason, "detail": detail}
    return Fact(UNRECOGNISED_TYPE, data, contact_id, item.without_own_id())


Recogniser = Callable[[Item, Json], Fact]
