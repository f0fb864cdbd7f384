"""How much the partitions of a process hold between the broker and their work, all together.

A partition holds what was read for it until it is done. Each has an equal share of the room, so
that one that stands still leaves the others theirs; and where large records fill the room before
the shares are used up, nothing more is read until half of it is empty.
"""

from collections.abc import Callable
from typing import Final

ROOM_RECORDS: Final = 16_000
ROOM_BYTES: Final = 16 * 1024 * 1024
# A share of less would be read in too small pieces, however many partitions there are.
LEAST_RECORDS: Final = 16
_LEAST_BYTES: Final = 128 * 1024


class Room:
    """The room of one process."""

    def __init__(self, *, records: int = ROOM_RECORDS, size: int = ROOM_BYTES) -> None:
        """Take how many records, and bytes of them, there may be in it."""
        self._records = records
        self._size = size
        self._held = 0
        self._crowded = False
        self._shares: list[Share] = []

    @property
    def crowded(self) -> bool:
        """Whether nothing more should be read for anybody."""
        return self._crowded

    @property
    def portion(self) -> int:
        """How many records may be read at once for a partition that is not full."""
        return self.share_records // 2

    @property
    def share_records(self) -> int:
        """How many records one partition may hold."""
        return max(LEAST_RECORDS, self._records // max(1, len(self._shares)))

    @property
    def share_bytes(self) -> int:
        """How many bytes one partition may hold, but for what is read at once."""
        return max(_LEAST_BYTES, self._size // max(1, len(self._shares)))

    def enter(self, tell: Callable[[], None]) -> "Share":
        """Return the share of one more partition; `tell` is called when it may be full or not."""
        others = list(self._shares)
        share = Share(self, tell)
        self._shares.append(share)
        for other in others:
            other.tell()
        return share

    def leave(self, share: "Share") -> None:
        """Give what a partition held, and its share, to the others."""
        if share in self._shares:
            share.clear()
            self._shares.remove(share)
            self._tell_all()

    def count(self, size: int) -> None:
        """Take note of so many bytes more, or less."""
        self._held += size
        crowded = self._held > (self._size // 2 if self._crowded else self._size)
        if crowded != self._crowded:
            self._crowded = crowded
            self._tell_all()

    def _tell_all(self) -> None:
        for share in self._shares:
            share.tell()


class Share:
    """What one partition holds."""

    def __init__(self, room: Room, tell: Callable[[], None]) -> None:
        self.tell = tell
        self._room = room
        self._records = 0
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether nothing more should be read for this partition: it has half of its share."""
        return (
            self._room.crowded
            or self._records > self._room.share_records // 2
            or self._size > self._room.share_bytes // 2
        )

    def take(self, records: int, size: int) -> None:
        """Hold so many records, of so many bytes."""
        self._records += records
        self._size += size
        self._room.count(size)

    def free(self, records: int, size: int) -> None:
        """Hold so many less."""
        self.take(-records, -size)

    def clear(self) -> None:
        """Hold nothing."""
        self.free(self._records, self._size)

    def leave(self) -> None:
        """Hold nothing ever again."""
        self._room.leave(self)
