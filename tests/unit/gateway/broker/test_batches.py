"""What waits for a batch, on aiokafka's own accumulator; no broker is asked."""

import asyncio
import gc
import weakref
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import MessageAccumulator

from gateway.broker.batches import Batches, Call
from gateway.broker.deadlines import Deadlines
from gateway.broker.records import NewRecord

BATCH_BYTES = 4096
HERE, THERE = TopicPartition("topic", 0), TopicPartition("topic", 1)
AT = datetime(2026, 11, 21, tzinfo=UTC)


class Writer:
    """A producer that never sends: what it holds is settled by hand."""

    def __init__(self):
        cluster = SimpleNamespace(leader_for_partition=lambda _place: 0)
        self._message_accumulator = MessageAccumulator(cluster, BATCH_BYTES, 0, 10)
        self.batches = Batches(Deadlines())
        self.told = []

    def write(self, *places, size=10, deadline=1e12):
        records = [NewRecord("topic", b"key", b"x" * size, [("name", b"value")], AT)] * len(places)
        call = Call(
            self, records, places, began=0, deadline=deadline, then=lambda _: None, ended=self.tell
        )
        return call if self.batches.append(call) else None

    def tell(self, call, error):
        self.told.append((call, error))

    def records(self, place):
        return [batch.record_count for batch in self._message_accumulator._batches[place]]

    def drain(self):
        nodes, _ = self._message_accumulator.drain_by_nodes(())
        return nodes[0]


@pytest.fixture
async def writer():
    return Writer()


async def test_all_who_share_a_batch_are_told_in_order(writer):
    calls = [writer.write(HERE) for _ in range(3)]
    writer.drain()[HERE].done(0, -1)
    assert writer.told == []
    await tick()
    assert writer.told == [(call, None) for call in calls]


async def test_who_wrote_to_several_is_told_when_the_last_is_there(writer):
    call = writer.write(HERE, THERE)
    drained = writer.drain()
    drained[HERE].done(0, -1)
    await tick()
    assert writer.told == []
    drained[THERE].done(0, -1)
    await tick()
    assert writer.told == [(call, None)]


async def test_a_fault_is_told_once(writer):
    call = writer.write(HERE, THERE)
    drained = writer.drain()
    fault = OSError()
    for batch in drained.values():
        batch.failure(fault)
    await tick()
    assert writer.told == [(call, fault)]


async def test_of_what_does_not_fit_nothing_is_written(writer):
    while writer.write(HERE, size=1000):
        pass
    before = writer.records(HERE)
    assert writer.write(THERE, HERE, size=1000) is None
    assert writer.records(THERE) == []
    assert writer.records(HERE) == before
    assert writer.write(THERE, THERE, size=BATCH_BYTES) is None
    assert writer.records(THERE) == []


async def test_a_batch_that_is_sent_again_takes_no_more(writer):
    writer.write(HERE)
    batch = writer.drain()[HERE]
    batch.get_data_buffer()
    writer._message_accumulator.reenqueue(batch)
    assert writer.write(HERE) is None
    assert writer.write(THERE, HERE) is None
    assert writer.records(THERE) == []


async def test_nothing_is_kept_of_what_was_acknowledged(writer):
    # The deadline is far away, and the wait for the batch stays until then.
    held = weakref.ref(writer.write(HERE).then)
    gc.disable()
    try:
        writer.drain()[HERE].done(0, -1)
        await tick()
        writer.told.clear()
        assert held() is None
    finally:
        gc.enable()


async def tick():
    """Let what the loop has to call be called."""
    for _ in range(3):
        await asyncio.sleep(0)
