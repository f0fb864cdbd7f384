"""Which partition a key belongs to."""

from functools import lru_cache
from struct import unpack_from
from typing import Final

KNOWN_KEYS: Final = 16_384

_POSITIVE: Final = 0x7FFFFFFF
_WORD: Final = 0xFFFFFFFF
_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995


# The hash is pure Python, and a conversation's records come in runs.
@lru_cache(maxsize=KNOWN_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many, as Kafka's own clients choose it."""
    return (murmur2(key) & _POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """Return the hash that Kafka's clients know as murmur2, from 0 to 2³² - 1.

    aiokafka's is the same and takes three times as long, which every webhook of somebody who has
    not written lately would wait for.
    """
    hashed = _SEED ^ len(data)
    for word in unpack_from(f"<{len(data) >> 2}I", data):
        mixed = word * _FACTOR & _WORD
        hashed = (hashed * _FACTOR ^ (mixed ^ mixed >> 24) * _FACTOR) & _WORD
    if rest := len(data) & 3:
        hashed = (hashed ^ int.from_bytes(data[-rest:], "little")) * _FACTOR & _WORD
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _WORD
    return hashed ^ hashed >> 15
