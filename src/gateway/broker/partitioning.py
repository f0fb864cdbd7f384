"""Which partition a key belongs to."""

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

KNOWN_KEYS: Final = 16_384

_POSITIVE: Final = 0x7FFFFFFF


# The hash is pure Python, and a conversation's records come in runs.
@lru_cache(maxsize=KNOWN_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many, as Kafka's own clients choose it."""
    return int(murmur2(key) & _POSITIVE) % partitions
