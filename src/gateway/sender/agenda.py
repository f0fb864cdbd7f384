"""When to look again at what may not go now, each once."""

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Agenda:
    """Keys by the moment at which they are due."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, str]] = []
        # Entries of the heap that are not these were brought forward.
        self._at: dict[str, datetime] = {}

    def note(self, key: str, at: datetime) -> None:
        """Look at a key at a moment, if not before."""
        if at < self._at.get(key, _NEVER):
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def due(self, now: datetime) -> Iterator[str]:
        """Yield and forget the keys that are due; what is noted meanwhile may be among them."""
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                yield key

    def next_at(self) -> datetime | None:
        """Return when the next key is due."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
