"""Does the work of one partition, one batch after another, beside the reading."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog

from gateway.broker.handler import PartitionHandler
from gateway.broker.records import Record
from gateway.broker.room import Room
from gateway.domain.partition import PartitionLostError

_BATCH_BYTES: Final = 2 * 1024 * 1024
_BATCH_RECORDS: Final = 500
# Memory that a record takes beside its parts, and a header beside its name and value.
_RECORD_BYTES: Final = 400
_HEADER_BYTES: Final = 140
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
# A former owner that woke up late has lost its membership by then.
_CLAIM_AGAIN_SECONDS: Final = 2.0
# After a change of leader, the end of a log may seem to be before what was read, for a moment.
_LOST_TAIL_READINGS: Final = 3

log = structlog.get_logger()


class _EndedError(Exception):
    """The work was to end before a call had succeeded."""


class PartitionLog(Protocol):
    """One partition's log, as its worker sees it."""

    def pause(self) -> None:
        """Offer nothing for now; what was read may wait where it is."""
        ...

    def resume(self) -> None:
        """Go on behind what was offered last."""
        ...

    def go_to(self, offset: int) -> None:
        """Read from an offset; what was read and not offered yet is forgotten."""
        ...

    async def bounds(self) -> tuple[int, int]:
        """Return the first offset that the log has, and the one that the next record will get."""
        ...


class PartitionWorker:
    """The work of one partition in one assignment."""

    def __init__(
        self,
        partition: int,
        handler: PartitionHandler,
        partition_log: PartitionLog,
        room: Room,
    ) -> None:
        self.partition = partition
        # Offset of the next record to be handled; known once claimed.
        self.position = 0
        self.claimed = False
        self.task: asyncio.Task[None] | None = None
        self._handler = handler
        self._log = partition_log
        self._queue: deque[Record] = deque()
        self._paused = True
        self._wanted = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._place_lost = False
        self._short_readings = 0
        # A moment, and the end that the log had then; told when the position has reached it.
        self._mark: tuple[int, datetime] | None = None
        # What is queued, and what is being done.
        self._share = room.enter(self._pause_or_resume)

    @property
    def reads(self) -> bool:
        """Whether records may be offered now."""
        return not self._paused

    async def run(self) -> None:
        """Claim the partition and work on it until stopped; never raises."""
        while not self._stopping:
            try:
                await self._insist(self._claim)
                await self._work()
            except _EndedError:
                return
            except PartitionLostError:
                log.warning("kafka.partition_lost", partition=self.partition)
                self._forget()
                await self._rest(_CLAIM_AGAIN_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311

    def stop(self) -> None:
        """End after the running batch."""
        self._stopping = True
        self._wake.set()

    async def give_back(self) -> None:
        """Read no further and let the handler know that the work has ended; `run` has returned."""
        self._forget()
        self._share.leave()
        try:
            await self._handler.revoked(self.partition)
        # Whatever it is, the partition is no longer ours; its next owner takes it anyway.
        except Exception as error:  # noqa: BLE001
            log.warning(
                "kafka.partition_not_given_back",
                partition=self.partition,
                error=type(error).__name__,
            )

    def offer(self, records: Sequence[Record]) -> None:
        """Queue records that were read."""
        for record in records:
            # Read before a seek, and handed over after it.
            if record.offset < self._wanted or not self.claimed:
                continue
            self._queue.append(record)
            self._share.take(1, _size(record))
            self._wanted = record.offset + 1
        self._pause_or_resume()
        self._wake.set()

    def lose_the_place(self) -> None:
        """Take note that the log does not have the offset at which reading should go on."""
        self._pause()
        self._place_lost = True
        self._wake.set()

    def note_log_end(self, end: int, at: datetime) -> None:
        """Take note of the end that the log had at a moment or later."""
        if end < self.position:
            self._short_readings += 1
            if self._short_readings >= _LOST_TAIL_READINGS:
                self.lose_the_place()
            return
        self._short_readings = 0
        if self._mark is None:
            self._mark = (end, at)
            self._wake.set()

    def lag(self, end: int) -> int:
        """Return how many records before the log's end are not done."""
        return max(0, end - self.position)

    async def _claim(self) -> None:
        start = await self._handler.assigned(self.partition)
        log_start, log_end = await self._log.bounds()
        if start is None:
            start = log_start
        elif not log_start <= start <= log_end:
            start = await self._handler.out_of_range(self.partition, start, log_start)
        self.claimed = True
        self._begin_at(start)

    async def _work(self) -> None:
        while not self._stopping:
            if self._place_lost:
                await self._insist(self._find_the_place)
            elif self._queue:
                batch = self._next_batch()
                await self._insist(partial(self._handle, batch))
            elif self._mark is not None and self._mark[0] <= self.position:
                await self._tell_caught_up()
            else:
                await self._wake.wait()
                self._wake.clear()

    async def _handle(self, batch: Sequence[Record]) -> None:
        await self._handler.handle(self.partition, batch)
        self.position = batch[-1].offset + 1
        self._share.free(len(batch), sum(map(_size, batch)))
        self._pause_or_resume()
        if self._mark is not None and self._mark[0] <= self.position:
            await self._tell_caught_up()

    async def _tell_caught_up(self) -> None:
        assert self._mark is not None
        (_end, at), self._mark = self._mark, None
        try:
            await self._handler.caught_up(self.partition, at)
        except PartitionLostError:
            raise
        # The next mark is as good.
        except Exception as error:  # noqa: BLE001
            log.warning(
                "kafka.caught_up_untold", partition=self.partition, error=type(error).__name__
            )

    async def _find_the_place(self) -> None:
        log_start, log_end = await self._log.bounds()
        start = self.position
        if not log_start <= start <= log_end:
            start = await self._handler.out_of_range(self.partition, start, log_start)
        self._begin_at(start)

    def _begin_at(self, offset: int) -> None:
        self._forget_queue()
        self.position = self._wanted = offset
        self._place_lost = False
        self._short_readings = 0
        self._log.go_to(offset)
        self._pause_or_resume()

    def _forget(self) -> None:
        self.claimed = False
        self._pause()
        self._forget_queue()

    def _forget_queue(self) -> None:
        self._queue.clear()
        self._share.clear()
        self._mark = None

    def _next_batch(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        while self._queue and len(batch) < _BATCH_RECORDS:
            size += _size(self._queue[0])
            if batch and size > _BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
        return batch

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._log.pause()

    def _pause_or_resume(self) -> None:
        """Read for as long as there is room."""
        if self._share.full:
            self._pause()
        elif self._paused and self.claimed and not self._place_lost:
            self._paused = False
            self._log.resume()

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        """Make a call until it succeeds, the partition is lost, or the work is to end."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await call()
            except PartitionLostError:
                raise
            # The partition stands still and tries again; whether to skip is the handler's to say.
            except Exception as error:
                first = pause == _FIRST_PAUSE_SECONDS
                log.warning(
                    "kafka.partition_stands_still",
                    partition=self.partition,
                    error=type(error).__name__,
                    exc_info=first,
                )
            else:
                return
            await self._rest(pause)
            if self._stopping:
                raise _EndedError
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            self._wake.set()


def _size(record: Record) -> int:
    parts = len(record.value or b"") + len(record.key or b"")
    headers = sum(_HEADER_BYTES + len(name) + len(value) for name, value in record.headers)
    return _RECORD_BYTES + parts + headers
