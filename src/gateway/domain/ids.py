"""Public ids: TypeIDs, a prefix and 26 characters of base 32 over a UUID.

Ids of our own are over a UUIDv7, so that they sort by time. The id of an event that came from
outside is over a UUIDv5 of what makes the event unique, so that the same item always has the same
id. That derivation is frozen: golden vectors pin it.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable
from typing import Final

import uuid_utils
from typeid.codecs import base32

ACCOUNT: Final = "acc"
API_KEY: Final = "key"
CHANNEL: Final = "chn"
CONTACT: Final = "con"
CONVERSATION: Final = "cnv"
ENQUIRY: Final = "enq"
MESSAGE: Final = "msg"
AGENT: Final = "agt"
TEAM: Final = "tem"
BOT: Final = "bot"
ENDPOINT: Final = "ept"
DEPARTMENT: Final = "dpt"
DELIVERY: Final = "dlv"
EVENT: Final = "evt"
MEDIA: Final = "med"
DEAD_LETTER: Final = "dlt"
TIMER: Final = "tmr"
ERRAND: Final = "err"
OFFER: Final = "off"
RERUN: Final = "rrn"
AUDIT_ENTRY: Final = "aud"

_EVENT_NAMESPACE: Final = uuid.UUID("6f0e7a5c-6f3f-5b0e-9a64-3c2b1f8d7e90").bytes
_SUFFIX: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")


def new_id(prefix: str) -> str:
    """Return a new id of this kind that sorts after all earlier ones."""
    return f"{prefix}_{base32.encode(uuid_utils.uuid7().bytes)}"


def is_id(prefix: str, value: str) -> bool:
    """Say whether a text has the shape of an id of this kind."""
    head, separator, suffix = value.partition("_")
    return head == prefix and separator == "_" and _SUFFIX.fullmatch(suffix) is not None


def event_id(parts: Iterable[str]) -> str:
    """Return the id of an event that came from outside, from the parts that make it unique.

    It is the UUIDv5 of the parts as UTF-8, each with its length before it, so that no two lists of
    parts read alike: `("ab", "c")` is `2:ab1:c`.
    """
    parts = tuple(parts)
    text = "".join([f"{len(part)}:{part}" for part in parts])
    if text.isascii():
        # Nearly always: then the characters are the bytes, which are quicker to have so.
        name = text.encode()
    else:
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        name = b"".join([b"%d:%b" % (len(part), part) for part in encoded])
    digest = bytearray(hashlib.sha1(_EVENT_NAMESPACE + name, usedforsecurity=False).digest()[:16])
    # What makes it a UUID of version 5.
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return f"{EVENT}_{base32.encode(bytes(digest))}"
