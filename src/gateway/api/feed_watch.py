"""Wakes readers that wait at the end of an account's feed."""

import asyncio
from collections.abc import Iterable

from gateway.db.wakeups import Wakeups
from gateway.domain.shards import SHARDS, shard_of


class FeedWatch:
    """Tells when the relay has published something; now and then for nothing."""

    def __init__(self, wakeups: Wakeups | None = None) -> None:
        """Listen to the relay's wake-ups; without them, readers look once a second."""
        self._changed: dict[int, asyncio.Event] = {}
        self.closed = False
        if wakeups is not None:
            wakeups.listen("feed", self._wake)

    def next_change(self, account_id: str) -> asyncio.Event:
        """Return what is set when the account's feed has grown; ask before reading the feed."""
        return self._changed.setdefault(shard_of(account_id), asyncio.Event())

    async def close(self) -> None:
        """Let every reader go: the process ends."""
        self.closed = True
        self._wake(range(SHARDS))

    def _wake(self, shards: Iterable[int]) -> None:
        for shard in tuple(shards) or tuple(self._changed):
            changed = self._changed.pop(shard, None)
            if changed is not None:
                changed.set()
