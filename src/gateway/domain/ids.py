"""Public ids: TypeIDs, a prefix and 26 characters of base 32 over a UUID.

Ids of our own are over a UUIDv7, so that they sort by time. The id of an event that came from
outside is over a UUIDv5 of what makes the event unique, so that the same item always has the same
id. That derivation is frozen: golden vectors pin it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
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
LOGIN: Final = "lgn"

# Pages and channels of which something is remembered. Where more than that take turns, nothing is
# remembered long enough to be found again.
KNOWN_SOURCES: Final = 16_384

_EVENT_NAMESPACE: Final = uuid_utils.UUID("6f0e7a5c-6f3f-5b0e-9a64-3c2b1f8d7e90")
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
    return _of_name("".join([_with_length(part) for part in parts]))


def event_id_of(last: str, *parts: str) -> str:
    """Return `event_id` of parts that are the same for many events, and of a last one."""
    return _of_name(_beginning(parts) + _with_length(last))


@lru_cache(maxsize=KNOWN_SOURCES)
def _beginning(parts: tuple[str, ...]) -> str:
    return "".join([_with_length(part) for part in parts])


def _with_length(part: str) -> str:
    # Nearly always the characters are the bytes.
    size = len(part if part.isascii() else part.encode("utf-8", "surrogatepass"))
    return f"{size}:{part}"


def _of_name(name: str) -> str:
    try:
        uuid = uuid_utils.uuid5(_EVENT_NAMESPACE, name)
    except TypeError:
        # Only lone surrogates cannot be encoded. It takes bytes, too, which its stub does not say.
        encoded = name.encode("utf-8", "surrogatepass")
        uuid = uuid_utils.uuid5(_EVENT_NAMESPACE, encoded)  # type: ignore[arg-type]
    return f"{EVENT}_{base32.encode(uuid.bytes)}"
