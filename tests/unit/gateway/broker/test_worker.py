"""The work of one partition: what is queued, what counts as done, and where the place is lost."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.support.clock import NOON

from gateway.broker.records import Record
from gateway.broker.worker import PartitionWorker


class Log:
    """A log of so many records, and what the worker asked of it."""

    def __init__(self, start=0, end=100):
        self.start = start
        self.end = end
        self.calls = []

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")

    def go_to(self, offset):
        self.calls.append(offset)

    async def bounds(self):
        return self.start, self.end


class Handler:
    def __init__(self, start=0):
        self.start = start
        self.batches = asyncio.Queue[list[int]]()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.marks = asyncio.Queue[object]()
        self.lost = asyncio.Queue[tuple[int, int]]()

    async def assigned(self, _partition):
        return self.start

    async def handle(self, _partition, records):
        self.batches.put_nowait([record.offset for record in records])
        await self.may_go_on.wait()

    async def now(self):
        return NOON

    async def caught_up(self, _partition, at):
        self.marks.put_nowait(at)

    async def out_of_range(self, _partition, offset, log_start):
        self.lost.put_nowait((offset, log_start))
        return log_start

    async def revoked(self, _partition):
        pass


def records(*offsets, size=1):
    return [Record("topic", 0, offset, b"k", bytes(size), [], 0) for offset in offsets]


@asynccontextmanager
async def working(handler, log):
    worker = PartitionWorker(0, handler, log)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await settled()
        assert worker.claimed
        yield worker
        worker.stop()


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_caught_up_means_that_everything_before_the_end_is_done():
    handler = Handler()
    async with working(handler, Log()) as worker:
        worker.note_log_end(2, NOON)
        worker.offer(records(0))
        await handler.batches.get()
        await settled()
        assert handler.marks.empty()
        assert worker.lag(2) == 1
        worker.offer(records(1))
        assert await handler.marks.get() == NOON
        assert worker.lag(2) == 0


async def test_a_later_reading_does_not_push_an_earlier_one_away():
    handler = Handler()
    async with working(handler, Log()) as worker:
        worker.note_log_end(1, NOON)
        worker.note_log_end(50, NOON + timedelta(seconds=1))
        worker.offer(records(0))
        assert await handler.marks.get() == NOON


async def test_what_was_read_before_a_seek_is_not_handled():
    handler = Handler(start=10)
    async with working(handler, Log()) as worker:
        worker.offer(records(7, 8, 9, 10))
        assert await handler.batches.get() == [10]


async def test_a_full_queue_stops_the_reading_until_half_of_it_is_done():
    handler, log = Handler(), Log()
    handler.may_go_on.clear()
    async with working(handler, log) as worker:
        worker.offer(records(0))
        await handler.batches.get()
        worker.offer(records(*range(1, 6), size=600_000))
        assert log.calls[-1] == "pause"
        handler.may_go_on.set()
        await settled()
        # What was thrown away meanwhile is read again.
        assert log.calls[-2:] == [6, "resume"]


async def test_an_end_before_the_place_is_believed_only_when_it_stays():
    handler, log = Handler(), Log(start=0, end=5)
    async with working(handler, log) as worker:
        worker.offer(records(0, 1, 2))
        await handler.batches.get()
        await settled()
        log.end = 1
        for _ in range(2):
            worker.note_log_end(1, NOON)
        worker.note_log_end(3, NOON)
        worker.note_log_end(1, NOON)
        await settled()
        assert handler.lost.empty()
        for _ in range(2):
            worker.note_log_end(1, NOON)
        assert await handler.lost.get() == (3, 0)
        worker.offer(records(0))
        assert await handler.batches.get() == [0]


async def test_stopping_lets_the_running_batch_end_and_starts_no_other():
    handler = Handler()
    handler.may_go_on.clear()
    async with working(handler, Log()) as worker:
        worker.offer(records(0))
        assert await handler.batches.get() == [0]
        worker.offer(records(1))
        worker.stop()
        handler.may_go_on.set()
    assert handler.batches.empty()
    assert worker.position == 1
