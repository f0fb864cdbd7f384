"""Kafka in memory: the same ports, the same worker, no network.

`InMemoryBroker` spreads the partitions of a topic over the members of a group as Kafka does: when
one joins or leaves, all partitions are taken back and given out anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from gateway.broker.handler import PartitionHandler
from gateway.broker.partitioning import partition_of
from gateway.broker.records import NewRecord, Record
from gateway.broker.room import Room
from gateway.broker.worker import PartitionWorker
from gateway.errors import NotDurableError


class InMemoryBroker:
    """Logs and groups. `away` makes it refuse everything, as a Kafka that cannot be reached."""

    def __init__(self, *, partitions: int = 4) -> None:
        self.partitions = partitions
        self.away = False
        self._logs: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self._starts: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._members: defaultdict[tuple[str, str], list[InMemoryConsumer]] = defaultdict(list)
        self._arrived = asyncio.Condition()

    def producer(self) -> "InMemoryProducer":
        return InMemoryProducer(self)

    def consumer(
        self, handler: PartitionHandler, *, topic: str, group_id: str = "group"
    ) -> "InMemoryConsumer":
        return InMemoryConsumer(self, handler, topic=topic, group_id=group_id)

    def records(self, topic: str, partition: int | None = None) -> list[Record]:
        """Return what a topic holds, partition after partition."""
        chosen = range(self.partitions) if partition is None else [partition]
        return [record for n in chosen for record in self._logs[topic, n]]

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        log = self._logs[topic, partition]
        return self._starts[topic, partition], log[-1].offset + 1 if log else self._starts[
            topic, partition
        ]

    async def drop_before(self, topic: str, partition: int, offset: int) -> None:
        """Forget the log's beginning, as retention does."""
        self._starts[topic, partition] = offset
        log = self._logs[topic, partition]
        log[:] = [record for record in log if record.offset >= offset]

    async def append(self, record: NewRecord) -> Record:
        partition = record.partition
        if partition is None:
            assert record.key is not None
            partition = partition_of(record.key, self.partitions)
        written = Record(
            topic=record.topic,
            partition=partition,
            offset=self.bounds(record.topic, partition)[1],
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=round(record.timestamp.timestamp() * 1000),
        )
        self._logs[record.topic, partition].append(written)
        async with self._arrived:
            self._arrived.notify_all()
        return written

    async def read(self, topic: str, partition: int, offset: int) -> list[Record]:
        """Wait until there is something at or after an offset."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.bounds(topic, partition)[1] > offset)
        return [record for record in self._logs[topic, partition] if record.offset >= offset]

    async def join(self, member: "InMemoryConsumer", *, leave: bool = False) -> None:
        members = self._members[member.topic, member.group_id]
        for each in members:
            await each.give_up()
        if leave:
            members.remove(member)
        else:
            members.append(member)
        for n in range(self.partitions):
            if members:
                members[n % len(members)].take(n)


class InMemoryProducer:
    """Writes as `KafkaProducer` does."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker

    @property
    def reachable(self) -> bool:
        return not self._broker.away

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: datetime,
        *,
        partition: int | None = None,
        timeout: float = 4.0,  # noqa: ASYNC109 - the port's
    ) -> None:
        record = NewRecord(topic, key, value, headers, timestamp, partition)
        await self.produce_all([record], timeout=timeout)

    async def produce_all(
        self,
        records: Sequence[NewRecord],
        *,
        timeout: float = 4.0,  # noqa: ASYNC109 - the port's
    ) -> None:
        if self._broker.away:
            raise NotDurableError("away", retry_after=timedelta(seconds=5))
        for record in records:
            await self._broker.append(record)

    def write(
        self,
        records: Sequence[NewRecord],
        then: Callable[[NotDurableError | None], None],
        *,
        timeout: float = 4.0,
    ) -> bool:
        """Leave it to `produce_all`."""
        return False

    async def stop(self, seconds: float = 5.0) -> None:
        pass


class InMemoryConsumer:
    """Reads as `PartitionConsumer` does."""

    def __init__(
        self, broker: InMemoryBroker, handler: PartitionHandler, *, topic: str, group_id: str
    ) -> None:
        self.topic = topic
        self.group_id = group_id
        self._broker = broker
        self._handler = handler
        self._workers: dict[int, tuple[PartitionWorker, asyncio.Task[None]]] = {}
        self._room = Room()
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def partitions(self) -> frozenset[int]:
        return frozenset(n for n, (worker, _) in self._workers.items() if worker.claimed)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._broker.join(self)
                ends = group.create_task(self._read_log_ends())
                await self._stopping.wait()
                ends.cancel()
                await self._broker.join(self, leave=True)
        finally:
            self._ended.set()

    async def stop(self, seconds: float = 10.0) -> None:
        self._stopping.set()
        async with asyncio.timeout(seconds):
            await self._ended.wait()

    def take(self, partition: int) -> None:
        assert self._group is not None
        log = _Log(self._broker, self.topic, partition, self._group)
        worker = PartitionWorker(partition, self._handler, log, self._room)
        log.worker = worker
        worker.task = self._group.create_task(worker.run())
        self._workers[partition] = (worker, worker.task)

    async def give_up(self) -> None:
        taken, self._workers = self._workers, {}
        for worker, task in taken.values():
            worker.stop()
            await task
            await worker.give_back()

    async def _read_log_ends(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            at = await self._handler.now()
            for n, (worker, _) in self._workers.items():
                if worker.claimed:
                    worker.note_log_end(self._broker.bounds(self.topic, n)[1], at)


class _Log:
    worker: PartitionWorker

    def __init__(
        self, broker: InMemoryBroker, topic: str, partition: int, group: asyncio.TaskGroup
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._partition = partition
        self._group = group
        self._position = 0
        self._reading: asyncio.Task[None] | None = None

    def pause(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def resume(self) -> None:
        self.pause()
        self._reading = self._group.create_task(self._read())

    def go_to(self, offset: int) -> None:
        self._position = offset
        if self._reading is not None:
            self.resume()

    async def bounds(self) -> tuple[int, int]:
        return self._broker.bounds(self._topic, self._partition)

    async def _read(self) -> None:
        while True:
            records = await self._broker.read(self._topic, self._partition, self._position)
            if records[0].offset > self._position:
                self.worker.lose_the_place()
                return
            self._position = records[-1].offset + 1
            self.worker.offer(records)
