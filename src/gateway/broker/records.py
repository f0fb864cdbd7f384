"""What goes to Kafka and comes from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read.

    `timestamp` is in milliseconds since 1970, as the producer set it; -1 where it set none. A
    header without a value has an empty one.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


class NewRecord(NamedTuple):
    """A record to be written.

    `partition` None: the one that the key belongs to, which it must have then. `timestamp` is the
    product's time.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: datetime
    partition: int | None = None
