"""What one sender knows and runs at the moment, and the events that its loops wait for."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from gateway.clock import Clock
from gateway.db.deliveries import Delivery, Due
from gateway.db.leases import ShardLeases
from gateway.domain.ramp import CallEnd
from gateway.sender.lanes import Lanes
from gateway.sender.settling import Settled

# Retries that are due later than this are found again by a look.
_KEPT: Final = timedelta(seconds=30)


class Board:
    """Lanes, leases and clock of one sender."""

    def __init__(self, lanes: Lanes, leases: ShardLeases, clock: Clock) -> None:
        self.lanes = lanes
        self.leases = leases
        self.clock = clock
        # Set when something may be able to leave.
        self.go = asyncio.Event()
        # Calls that another process may still be making on shards that are ours now.
        self._foreign: set[str] = set()
        self._progress = asyncio.Event()

    @property
    def own(self) -> set[str]:
        """The deliveries that this process is busy with."""
        return set(self.lanes.in_flight) - self._foreign

    @property
    def foreign(self) -> frozenset[str]:
        """The deliveries that another process may be busy with."""
        return frozenset(self._foreign)

    def offer(self, dues: Collection[Due]) -> None:
        """Take in what may leave now or soon, as far as its shards are ours."""
        now, mine = self.clock.now(), self.leases.mine
        soon = [due for due in dues if due.shard in mine and due.due_at <= now + _KEPT]
        self.lanes.offer(soon, now=now)
        self.go.set()

    def end(self, delivery_id: str, *, end: CallEnd | None) -> None:
        """Free what a delivery occupied; `end` None: there was no call of ours."""
        self._foreign.discard(delivery_id)
        self.lanes.ended(delivery_id, now=self.clock.now(), end=end)
        self._progress.set()

    def put_back(self, due: Due) -> None:
        """Let go of a delivery for which no call was made; it has to be offered again."""
        self.lanes.put_back(due, now=self.clock.now())
        self._progress.set()

    def count_call(self, target_id: str) -> None:
        """Count a call that was made for a delivery before its own."""
        self.lanes.count_call(target_id, now=self.clock.now())

    def settled(self, settled: Settled) -> None:
        """Go on after a settlement."""
        now = self.clock.now()
        for target_id, until in settled.rests.items():
            self.lanes.rest(target_id, until=until)
        for app_id, until in settled.app_rests.items():
            self.lanes.rest_app(app_id, until=until)
        for told in settled.told:
            self.lanes.hear(told, now=now)
        for delivery_id, end in settled.done:
            self.end(delivery_id, end=end)
        self.offer(settled.due)

    def occupy(self, running: Collection[Delivery]) -> None:
        """Count the calls of other processes, which keep their lanes and places until they end."""
        for row in running:
            if row.id not in self.lanes.in_flight:
                self._foreign.add(row.id)
                self.lanes.occupy(row.id, row.target_kind, row.shard, (row.target_id, row.lane))

    async def until_idle(self, shards: Collection[int] | None) -> None:
        """Return once nothing of ours is in flight in some shards (None: in all)."""
        while self.busy(shards):
            self._progress.clear()
            await self._progress.wait()

    def busy(self, shards: Collection[int] | None) -> int:
        """Return how many deliveries of ours are in flight in some shards (None: in all)."""
        return self.lanes.count_in_flight(shards, but=self._foreign)
