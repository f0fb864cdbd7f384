"""What everybody relies on, of Kafka and of the broker in memory alike."""

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from tests.support.broker import InMemoryBroker
from tests.support.clock import NOON

from gateway.broker.connection import KafkaConnection
from gateway.broker.consumer import PartitionConsumer
from gateway.broker.partitioning import partition_of
from gateway.broker.producer import KafkaProducer
from gateway.broker.records import NewRecord, Record
from gateway.broker.room import ROOM_RECORDS
from gateway.broker.topics import TopicRules, Topics
from gateway.clock import true_now
from gateway.domain.partition import PartitionLostError

TOPIC = "gateway.inbound.v1"
PARTITIONS = 4
# A broker deletes what seems older than its retention.
WRITTEN_AT = true_now()
RULES = TopicRules(
    partitions=PARTITIONS,
    replication=3,
    min_insync_replicas=2,
    retention_hours=24,
    max_message_bytes=10 * 1024 * 1024,
    must_be_safe=False,
)


class Counts(dict[str, int]):
    async def find(self, topic: str) -> int | None:
        return self.get(topic)

    async def record(self, topic: str, partitions: int) -> int:
        return self.setdefault(topic, partitions)


class Kafka:
    def __init__(self, bootstrap):
        self.connection = KafkaConnection(bootstrap_servers=bootstrap)
        self.topics = Topics(self.connection, RULES, Counts(), names=[TOPIC])

    def producer(self):
        return KafkaProducer(
            self.connection, self.topics, max_message_bytes=RULES.max_message_bytes
        )

    def consumer(self, handler, *, topic, group_id="group"):
        return PartitionConsumer(
            self.connection,
            self.topics,
            handler,
            topic=topic,
            group_id=group_id,
            log_end_seconds=0.05,
        )


# The server is asked for while the test runs, so it bears the marks of one that uses it by itself.
_KAFKA = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.xdist_group("kafka")]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=_KAFKA)])
def broker(request):
    if request.param == "memory":
        return InMemoryBroker(partitions=PARTITIONS)
    return Kafka(request.getfixturevalue("kafka_bootstrap"))


class Handler:
    """Remembers what it was given; offsets and time are its own."""

    def __init__(self, offsets=None):
        self.offsets = {} if offsets is None else offsets
        self.handled: defaultdict[int, list[Record]] = defaultdict(list)
        self.running: defaultdict[int, int] = defaultdict(int)
        self.most_running = 0
        self.most_partitions = 0
        self.claims: list[int] = []
        self.revocations: list[int] = []
        self.ranges: list[tuple[int, int, int]] = []
        self.marks: dict[int, datetime] = {}
        self.time = NOON
        self.failures: list[Exception] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.changed = asyncio.Condition()

    async def assigned(self, partition):
        self.claims.append(partition)
        await self._tell()
        return self.offsets.get(partition)

    async def handle(self, partition, records):
        self.running[partition] += 1
        self.most_running = max(self.most_running, self.running[partition])
        self.most_partitions = max(
            self.most_partitions, sum(1 for count in self.running.values() if count)
        )
        await self._tell()
        try:
            await self.may_go_on.wait()
            if self.failures:
                raise self.failures.pop(0)
            self.handled[partition] += records
            self.offsets[partition] = records[-1].offset + 1
        finally:
            self.running[partition] -= 1
            await self._tell()

    async def now(self):
        self.time += timedelta(seconds=1)
        return self.time

    async def caught_up(self, partition, at):
        self.marks[partition] = at
        await self._tell()

    async def out_of_range(self, partition, offset, log_start):
        self.ranges.append((partition, offset, log_start))
        await self._tell()
        return log_start

    async def revoked(self, partition):
        self.revocations.append(partition)
        await self._tell()

    async def _tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition):
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(condition)

    def values(self):
        return [record.value for records in self.handled.values() for record in records]


@asynccontextmanager
async def running(*parts):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in parts]
        yield
        for part in parts:
            await part.stop()
        for task in tasks:
            task.cancel()


def new(key, value, *, headers=(), partition=None):
    return NewRecord(TOPIC, key, value, list(headers), WRITTEN_AT, partition)


async def test_a_record_comes_back_as_it_was_written(broker):
    handler = Handler()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    headers = [("ce_id", b"evt_1"), ("empty", b"")]
    async with running(producer, consumer):
        await producer.produce_all([new(b"key", b"value", headers=headers)])
        await handler.until(lambda: handler.values() == [b"value"])
    (record,) = handler.handled[partition_of(b"key", PARTITIONS)]
    assert (record.topic, record.offset, record.key) == (TOPIC, 0, b"key")
    assert list(record.headers) == headers
    assert record.timestamp == round(WRITTEN_AT.timestamp() * 1000)


async def test_what_waits_beyond_the_room_is_done_once_and_in_order(broker):
    handler = Handler()
    handler.may_go_on.clear()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    values = [b"%d" % n for n in range(ROOM_RECORDS)]
    async with running(producer, consumer):
        await producer.produce_all([new(b"key", value) for value in values])
        await handler.until(lambda: any(handler.running.values()))
        handler.may_go_on.set()
        await handler.until(lambda: len(handler.values()) >= len(values))
    assert handler.values() == values


async def test_records_of_a_key_stay_in_order(broker):
    handler = Handler()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        for n in range(0, 300, 3):
            await producer.produce_all(
                [new(b"key-%d" % (i % 7), b"%d" % i) for i in range(n, n + 3)]
            )
        await handler.until(lambda: len(handler.values()) == 300)
    for records in handler.handled.values():
        numbers = defaultdict(list)
        for record in records:
            assert record.key is not None
            assert record.value is not None
            numbers[record.key].append(int(record.value))
        assert all(each == sorted(each) for each in numbers.values())
        assert {partition_of(key, PARTITIONS) for key in numbers} == {records[0].partition}


async def test_a_record_can_go_to_a_partition_by_number(broker):
    handler = Handler()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        await producer.produce_all([new(None, b"value", partition=3)])
        await handler.until(lambda: handler.values() == [b"value"])
    assert handler.handled[3][0].key is None


async def test_a_large_record_does_not_stand_in_the_way(broker):
    handler = Handler()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        await producer.produce_all([new(b"k", b"1"), new(b"k", bytes(8_000_000)), new(b"k", b"2")])
        await handler.until(lambda: len(handler.values()) == 3)


async def test_reading_goes_on_where_the_handler_says(broker):
    partition = partition_of(b"k", PARTITIONS)
    handler = Handler({partition: 2})
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer):
        await producer.produce_all([new(b"k", b"%d" % n) for n in range(4)])
        async with running(consumer):
            await handler.until(lambda: len(handler.values()) == 2)
    assert handler.values() == [b"2", b"3"]


async def test_a_partition_has_one_call_at_a_time_and_others_go_on(broker):
    handler = Handler()
    handler.may_go_on.clear()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        for n in range(20):
            await producer.produce_all([new(b"k%d" % n, b"v"), new(b"k%d" % n, b"w")])
        await handler.until(lambda: handler.most_partitions == PARTITIONS)
        handler.may_go_on.set()
        await handler.until(lambda: len(handler.values()) == 40)
    assert handler.most_running == 1


async def test_a_batch_that_fails_is_given_again(broker):
    handler = Handler()
    handler.failures = [RuntimeError("planted"), ValueError("planted")]
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        await producer.produce_all([new(b"k", b"1"), new(b"k", b"2")])
        await handler.until(lambda: len(handler.values()) == 2)
    assert handler.values() == [b"1", b"2"]


async def test_a_lost_partition_is_dropped_and_claimed_again(broker):
    handler = Handler()
    handler.failures = [PartitionLostError("planted")]
    partition = partition_of(b"k", PARTITIONS)
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        await handler.until(lambda: len(handler.claims) == PARTITIONS)
        await producer.produce_all([new(b"k", b"1")])
        await handler.until(lambda: handler.values() == [b"1"])
    assert handler.claims.count(partition) == 2


@pytest.mark.parametrize("offset", [7, 1000])
async def test_a_place_that_the_log_does_not_have_raises_the_alarm(broker, offset):
    partition = partition_of(b"k", PARTITIONS)
    handler = Handler({partition: offset})
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer):
        await producer.produce_all([new(b"k", b"%d" % n) for n in range(3)])
        async with running(consumer):
            await handler.until(lambda: len(handler.values()) == 3)
    assert handler.ranges == [(partition, offset, 0)]


async def test_members_share_the_partitions_and_hand_over(broker):
    offsets: dict[int, int] = {}
    first, second = Handler(offsets), Handler(offsets)
    producer = broker.producer()
    async with running(producer, broker.consumer(first, topic=TOPIC)):
        await first.until(lambda: len(first.claims) == PARTITIONS)
        await producer.produce_all([new(b"k%d" % n, b"a%d" % n) for n in range(20)])
        await first.until(lambda: len(first.values()) == 20)
        async with running(broker.consumer(second, topic=TOPIC)):
            await second.until(lambda: len(second.claims) == PARTITIONS // 2)
            assert sorted(first.revocations) == list(range(PARTITIONS))
            await first.until(lambda: len(first.claims) == PARTITIONS + PARTITIONS // 2)
            await producer.produce_all([new(b"k%d" % n, b"b%d" % n) for n in range(20)])
            await second.until(lambda: second.values() != [])
        await first.until(lambda: len(first.values()) + len(second.values()) == 40)
    assert sorted(first.values() + second.values()) == sorted(
        b"%s%d" % (letter, n) for letter in (b"a", b"b") for n in range(20)
    )


async def test_the_running_batch_ends_before_its_partition_is_given_back(broker):
    handler = Handler()
    handler.may_go_on.clear()
    partition = partition_of(b"k", PARTITIONS)
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in (producer, consumer)]
        await producer.produce_all([new(b"k", b"1")])
        await handler.until(lambda: handler.running[partition] == 1)
        stop = group.create_task(consumer.stop())
        await handler.until(lambda: len(handler.revocations) in {0, PARTITIONS - 1})
        assert partition not in handler.revocations
        handler.may_go_on.set()
        await stop
        assert handler.values() == [b"1"]
        assert sorted(handler.revocations) == list(range(PARTITIONS))
        await producer.stop()
        tasks[0].cancel()


async def test_the_handler_learns_up_to_when_it_has_caught_up(broker):
    handler = Handler()
    producer, consumer = broker.producer(), broker.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        # Idle partitions are caught up, too, and stay so.
        await handler.until(lambda: len(handler.marks) == PARTITIONS)
        before = handler.time
        await handler.until(lambda: min(handler.marks.values()) > before)
        handler.may_go_on.clear()
        partition = partition_of(b"k", PARTITIONS)
        await producer.produce_all([new(b"k", b"1")])
        await handler.until(lambda: handler.running[partition] == 1)
        stalled = handler.marks[partition]
        others = handler.time
        await handler.until(
            lambda: min(at for n, at in handler.marks.items() if n != partition) > others
        )
        assert handler.marks[partition] == stalled
        handler.may_go_on.set()
        await handler.until(lambda: handler.marks[partition] > stalled)
