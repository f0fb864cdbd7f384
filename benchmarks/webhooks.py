"""Webhooks of Meta's as the benchmarks post them: distinct messages of many contacts."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

CONTACTS: Final = 2_000
PAGE: Final = "106540352242922"

_FIRST_CONTACT: Final = 7788990010000000
_FIRST_TIME: Final = 1795258800000
_NUMBERS: Final = count()


def messages(
    number: int, *, pages: Sequence[str] = (PAGE,), contacts: int = CONTACTS
) -> Iterator[bytes]:
    """Return bodies of one text message each, none the same as another in this process.

    Pages and contacts take turns side by side: there are as many conversations as the least common
    multiple of their numbers.
    """
    for n in (next(_NUMBERS) for _ in range(number)):
        page, contact = pages[n % len(pages)], str(_FIRST_CONTACT + n % contacts)
        message = {"mid": f"m_bench{n:012}", "text": f"hello {n}, when do you open tomorrow?"}
        item = {
            "sender": {"id": contact},
            "recipient": {"id": page},
            "timestamp": _FIRST_TIME + n,
            "message": message,
        }
        entry = {"id": page, "time": _FIRST_TIME + n, "messaging": [item]}
        yield json.dumps({"object": "page", "entry": [entry]}).encode()
