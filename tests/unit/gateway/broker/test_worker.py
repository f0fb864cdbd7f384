"""The work of one partition: what is queued, what counts as done, and where the place is lost."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.support.clock import NOON

from gateway.broker.records import Record
from gateway.broker.room import Room
from gateway.broker.worker import PartitionWorker
from gateway.domain.partition import PartitionLostError


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
async def working(handler, log, room=None):
    worker = PartitionWorker(0, handler, log, Room() if room is None else room)
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


async def test_half_a_share_stops_the_reading_until_less_of_it_is_left():
    handler, log = Handler(), Log()
    handler.may_go_on.clear()
    async with working(handler, log, Room(size=4_000_000)) as worker:
        worker.offer(records(0))
        await handler.batches.get()
        worker.offer(records(*range(1, 4), size=600_000))
        assert worker.reads
        worker.offer(records(4, size=600_000))
        assert not worker.reads
        assert log.calls[-1] == "pause"
        handler.may_go_on.set()
        await settled()
        # What was read and not offered is still there, so that nothing is read twice.
        assert log.calls[-2:] == ["pause", "resume"]
        assert worker.reads


async def test_what_is_being_done_takes_room_like_what_waits():
    handler, log = Handler(), Log()
    handler.may_go_on.clear()
    async with working(handler, log, Room(records=40)) as worker:
        worker.offer(records(*range(21)))
        assert await handler.batches.get() == list(range(21))
        assert not worker.reads
        handler.may_go_on.set()
        await settled()
        assert worker.reads


async def test_who_gives_its_partition_back_leaves_its_room_to_others():
    handler, room = Handler(), Room(records=80)
    handler.may_go_on.clear()
    async with working(handler, Log(), room) as first:
        async with working(Handler(), Log(), room) as second:
            first.offer(records(*range(30)))
            assert not first.reads
            assert second.reads
        await second.give_back()
        assert first.reads
        handler.may_go_on.set()


async def test_a_lost_partition_holds_nothing():
    class Lost(Handler):
        async def handle(self, _partition, records):
            raise PartitionLostError("0")

    room = Room(size=1_000_000)
    async with working(Lost(), Log(), room) as worker:
        worker.offer(records(0, size=2_000_000))
        crowded_before = room.crowded
        await settled()
        assert (crowded_before, room.crowded) == (True, False)
        assert not worker.reads


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
