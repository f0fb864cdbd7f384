"""Looks for work: when woken, when shards come, and each second for whatever was not announced."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from gateway.db.deliveries import find_due, find_in_flight
from gateway.db.failures import is_transient, name_of
from gateway.db.targets import find_limits
from gateway.db.unit_of_work import Database
from gateway.meta.graph import GraphClient
from gateway.sender import sweeps
from gateway.sender.board import Board
from gateway.sender.metrics import (
    IN_FLIGHT,
    RESTING_TARGETS,
    SLOW_TARGETS,
    SLOWED_TARGETS,
    UNSETTLED,
    WAITING,
)
from gateway.sender.settlement_queue import SettlementQueue
from gateway.sender.uncertain import end_wait

SWEEP_SECONDS: Final = 1.0
# What is due so soon is taken in, to leave on the dot.
_HORIZON: Final = timedelta(seconds=2)
_PER_TARGET: Final = 100
_LIMITS_AGE: Final = timedelta(seconds=2)
# Looking everywhere takes a fifth of the time at most; at what was announced, half of it.
_PAUSE: Final = 4
_PAUSE_WHERE_WOKEN: Final = 1
_LONGEST_PAUSE: Final = 1.0

log = structlog.get_logger()


class Lookout:
    """Finds what is due and puts it on the board."""

    def __init__(
        self,
        database: Database,
        board: Board,
        settlements: SettlementQueue,
        graph: GraphClient,
        *,
        patience: timedelta,
    ) -> None:
        """Take what it works with.

        Args:
            database: Where the deliveries are.
            board: Where what may leave is put.
            settlements: Take the calls whose outcome nobody will tell any more.
            graph: Tells what became of messages of which nobody knows.
            patience: How long whoever had a shard before may still tell how its calls ended.
        """
        self._database = database
        self._board = board
        self._settlements = settlements
        self._graph = graph
        self._patience = patience.total_seconds()
        self._gained: set[int] = set()
        self._gained_at: dict[int, float] = {}
        self._due_in: set[int] = set()
        self._waiting_in: set[int] = set()
        self._look_now = asyncio.Event()
        self._mend_now = asyncio.Event()
        self._looking = asyncio.Lock()

    def wake(self, shards: Collection[int]) -> None:
        """Look at what is due in shards soon; none means everywhere."""
        self._due_in.update(shards or self._board.leases.mine)
        self._look_now.set()

    def wake_lanes(self, shards: Collection[int]) -> None:
        """Look at lanes in which something waits, in shards, soon; none means everywhere."""
        self._waiting_in.update(shards or self._board.leases.mine)
        self._mend_now.set()

    def gain(self, epochs: Mapping[int, int]) -> None:
        """Take over shards, with the calls that their former owner may still be making."""
        self._gained.update(epochs)
        self._gained_at.update(dict.fromkeys(epochs, time.monotonic()))
        self.wake(epochs.keys())
        self.wake_lanes(epochs.keys())

    def look_for_more(self) -> None:
        """Look at targets that have more to send than was taken in."""
        hungry = self._board.lanes.hungry()
        if hungry:
            self._due_in |= hungry
            self._look_now.set()

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_where_woken())
            group.create_task(self._again_and_again(self._look_everywhere))
            group.create_task(self._mend_again_and_again())
            group.create_task(self._again_and_again(self._sweep))
            group.create_task(self._again_and_again(self._end_waits))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something each second."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            started = time.monotonic()
            await self._guarded(work)
            await _rest(started, _PAUSE)

    async def _mend_again_and_again(self) -> None:
        """Mend lanes of woken shards, and each second those of all."""
        everywhere_at = 0.0
        while True:
            await set_or_timeout(self._mend_now, SWEEP_SECONDS)
            self._mend_now.clear()
            started = time.monotonic()
            shards, self._waiting_in = self._waiting_in, set()
            if started - everywhere_at >= SWEEP_SECONDS:
                everywhere_at = started
                shards = set(self._board.leases.mine)
            await self._guarded(partial(self._mend, shards))
            await _rest(started, _PAUSE)

    async def _look_where_woken(self) -> None:
        """Look at woken shards, and do not rest with the loops that look everywhere."""
        while True:
            await self._look_now.wait()
            self._look_now.clear()
            started = time.monotonic()
            shards, self._due_in = self._due_in, set()
            await self._guarded(partial(self._look, shards))
            await _rest(started, _PAUSE_WHERE_WOKEN)

    async def _look_everywhere(self) -> None:
        await self._look(self._board.leases.mine.keys())

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that is done again soon; a failure must not end the process."""
        try:
            await work()
        except Exception as error:
            if is_transient(error):
                log.warning("sender.look_failed", error=name_of(error))
            else:
                log.exception("sender.look_failed")

    async def _look(self, wanted: Collection[int]) -> None:
        async with self._looking:
            mine = self._board.leases.mine
            gained = self._gained & mine.keys()
            shards = (mine.keys() & wanted) | gained
            if not shards:
                return
            lanes = self._board.lanes
            async with self._database.engine.connect() as connection:
                now = self._board.clock.now()
                running = await find_in_flight(connection, gained) if gained else []
                due = await find_due(
                    connection, shards, horizon=now + _HORIZON, per_target=_PER_TARGET
                )
                asked = lanes.need_limits(
                    {each.target_id for each in due}, older_than=now - _LIMITS_AGE
                )
                limits = await find_limits(connection, asked, now=now) if asked else []
            self._gained -= gained
            self._board.occupy(running)
            mine = self._board.leases.mine
            lanes.offer([each for each in due if each.shard in mine], now=now, page=_PER_TARGET)
            lanes.limit(limits, now=now)
            self._board.go.set()

    async def _mend(self, wanted: Collection[int]) -> None:
        shards = sorted(self._board.leases.mine.keys() & wanted)
        self._board.offer(await sweeps.mend_lanes(self._database, shards))

    async def _sweep(self) -> None:
        board = self._board
        shards = list(board.leases.mine)
        if shards:
            await self._end_unseen(shards)
            board.offer(await sweeps.release_lanes(self._database, shards))
            await sweeps.release_stranded(self._database, shards)
            await self._end_foreign(shards)
        board.lanes.tidy(now=board.clock.now())
        IN_FLIGHT.set(len(board.lanes.in_flight))
        WAITING.set(board.lanes.waiting)
        SLOW_TARGETS.set(board.lanes.slow_targets)
        SLOWED_TARGETS.set(board.lanes.slowed_targets)
        RESTING_TARGETS.set(board.lanes.resting_targets(now=board.clock.now()))
        UNSETTLED.set(len(self._settlements))

    async def _end_unseen(self, shards: Collection[int]) -> None:
        """Give up on calls that must be over, where nobody has told for long enough.

        After an outage of the database their process may live and have yet to write it down.
        """
        long_ago = time.monotonic() - self._patience
        known = [shard for shard in shards if self._gained_at[shard] <= long_ago]
        if known:
            mine = self._board.own
            for ended in await sweeps.end_unseen_calls(self._database, known, mine=mine):
                self._settlements.put(ended)

    async def _end_foreign(self, shards: Collection[int]) -> None:
        """Free the lanes of calls that other processes have settled meanwhile."""
        foreign = self._board.foreign
        if not foreign:
            return
        async with self._database.engine.connect() as connection:
            running = {row.id for row in await find_in_flight(connection, shards)}
        for delivery_id in foreign - running:
            self._board.end(delivery_id, end=None)
        self._board.go.set()

    async def _end_waits(self) -> None:
        shards = list(self._board.leases.mine)
        if not shards:
            return
        now = self._board.clock.now()
        for delivery in await sweeps.find_ended_waits(self._database, shards, now=now):
            self._board.offer(await end_wait(self._database, self._graph, delivery))


async def _rest(started: float, times: int) -> None:
    """Wait for so many times what has passed since a moment."""
    await asyncio.sleep(min((time.monotonic() - started) * times, _LONGEST_PAUSE))


async def set_or_timeout(event: asyncio.Event, seconds: float) -> None:
    """Return once an event is set, or so many seconds have passed."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
