"""Shards: 256 parts of the work of senders, relays and timers."""

import zlib
from typing import Final

SHARDS: Final = 256
# Whoever relays this shard copies the dead letters to their topic.
DEAD_LETTER_SHARD: Final = 0


def shard_of(key: str) -> int:
    """Return the shard of a target, an event's key or a timer's conversation; never changes."""
    return zlib.crc32(key.encode()) % SHARDS
