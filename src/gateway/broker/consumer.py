"""Reads a topic as a member of a consumer group; where each partition goes on is the handler's say.

Kafka's group only spreads the partitions. Who owns one, and how far it has come, stands in the
handler's database, under an epoch that fences former owners; Kafka's own offsets feed lag metrics
and nothing else. Reading goes on beside the work, which is done strictly in turn within a partition
and concurrently between partitions.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from prometheus_client import Counter, Gauge

from gateway.broker.connection import KafkaConnection
from gateway.broker.handler import PartitionHandler
from gateway.broker.legibility import read_everything
from gateway.broker.patience import be_patient
from gateway.broker.reachability import answers, until_blind
from gateway.broker.records import Record
from gateway.broker.room import Room
from gateway.broker.topics import Topics, TopicsRefusedError
from gateway.broker.worker import PartitionWorker

__all__ = ["PartitionConsumer", "PartitionHandler", "Record"]

_SESSION_SECONDS: Final = 8
_HEART_BEAT_SECONDS: Final = 2
_START_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0
# How long a batch may still run when its partition is taken away.
_REVOKE_SECONDS: Final = 5.0
_GIVE_BACK_SECONDS: Final = 2.0
# A poll returns as soon as there is something, so this is how late it may see that it is to end.
_POLL_MILLISECONDS: Final = 200
# While a partition is full, a poll does not see that it is so no more; what was read may wait.
_CROWDED_POLL_MILLISECONDS: Final = 20
# A broker answers a fetch as soon as there is something, or after so long. A partition that is
# read again after a pause waits for the answer to the fetch before: longer costs latency there,
# shorter costs requests of idle consumers.
_FETCH_WAIT_MILLISECONDS: Final = 100
# What is read ahead waits in as many bytes as it had on its way: so much of one partition, and of
# all in one answer. Of the first that has something, an answer brings a whole batch in any case.
_FETCH_PARTITION_BYTES: Final = 128 * 1024
_FETCH_BYTES: Final = 2 * 1024 * 1024
_COMMIT_SECONDS: Final = 5.0
_CALL_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 2.0
# aiokafka leaves the group, and may never return (#1187), when nothing is polled for so long.
# Polling never stops here, and a stuck poll is found by our own watch.
_NEVER_MILLISECONDS: Final = 2**31 - 1

_SESSIONS = Counter("gateway_kafka_consumer_sessions_total", "Times the consumer was made anew.")
_PARTITIONS = Gauge("gateway_kafka_partitions", "Partitions that this process works on.")
_LAG = Gauge(
    "gateway_kafka_lag_records",
    "Records that were in the log and had no effect yet, over this process's partitions.",
)

log = structlog.get_logger()


class _StuckError(Exception):
    """The client does nothing any more; a new one may."""


class PartitionConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no types
    """One member of a consumer group."""

    def __init__(
        self,
        connection: KafkaConnection,
        topics: Topics,
        handler: PartitionHandler,
        *,
        topic: str,
        group_id: str,
        instance_id: str = "",
        log_end_seconds: float = 2.0,
    ) -> None:
        """Describe the member; `run` joins it.

        Args:
            connection: How to reach the brokers.
            topics: Makes sure that the topic exists.
            handler: Does the work.
            topic: What to read.
            group_id: Whom to share the partitions with.
            instance_id: Static membership: a process that comes back under the same name within
                the session's 8 s has its partitions back without a rebalance.
            log_end_seconds: How often the handler learns that it has caught up.
        """
        self._connection = connection
        self._topics = topics
        self._handler = handler
        self._topic = topic
        self._group_id = group_id
        self._instance_id = instance_id
        self._log_end_seconds = log_end_seconds
        self._workers: dict[int, PartitionWorker] = {}
        self._room = Room()
        self._consumer: AIOKafkaConsumer | None = None
        self._group: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._polled_at = 0.0

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions on which this process works now."""
        return frozenset(n for n, worker in self._workers.items() if worker.claimed)

    async def run(self) -> None:
        """Read and have the work done until stopped or cancelled, whatever Kafka does.

        Raises:
            TopicsRefusedError: The topic must not be used as it is.
        """
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    await self._topics.ensure()
                    await self._session()
                except TopicsRefusedError:
                    raise
                # The database may be what is away, and this part knows none of its errors.
                except Exception as error:  # noqa: BLE001
                    log.warning("kafka.consumer_failed", error=_name(error))
                    if time.monotonic() - began > _STUCK_SECONDS:
                        pause = _FIRST_PAUSE_SECONDS
                    await self._rest(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            self._ended.set()

    async def stop(self, seconds: float = _REVOKE_SECONDS + _CLOSE_SECONDS) -> None:
        """Let the running batches end, give the partitions back and leave; `run` then returns."""
        self._stopping.set()
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            log.warning("kafka.consumer_stop_timed_out")

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start to work on partitions; aiokafka calls this and sends no heart-beat meanwhile."""
        consumer, group = self._consumer, self._group
        assert consumer is not None
        assert group is not None
        for place in assigned:
            # Any position keeps aiokafka from asking for Kafka's own; nothing is read while paused.
            consumer.pause(place)
            consumer.seek(place, 0)
            worker = PartitionWorker(
                place.partition, self._handler, _Log(consumer, place), self._room
            )
            self._workers[place.partition] = worker
            worker.task = group.create_task(worker.run())
        _PARTITIONS.set(len(self._workers))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give partitions up; aiokafka calls this and waits."""
        await self._give_up(place.partition for place in revoked)

    async def _session(self) -> None:
        _SESSIONS.inc()
        arguments = self._connection.arguments("gateway-" + (self._instance_id or "consumer"))
        consumer = AIOKafkaConsumer(
            **arguments,
            group_id=self._group_id,
            group_instance_id=self._instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=_SESSION_SECONDS * 1000,
            heartbeat_interval_ms=_HEART_BEAT_SECONDS * 1000,
            # As long as revoking may take, so that the others wait for us.
            rebalance_timeout_ms=round((_REVOKE_SECONDS + _GIVE_BACK_SECONDS + 3) * 1000),
            max_poll_interval_ms=_NEVER_MILLISECONDS,
            fetch_max_wait_ms=_FETCH_WAIT_MILLISECONDS,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_FETCH_PARTITION_BYTES,
        )
        be_patient(consumer)
        read_everything(consumer)
        self._consumer = consumer
        self._polled_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                consumer.subscribe([self._topic], listener=self)
                # It returns when the first partitions are there, and calls the listener before.
                async with asyncio.timeout(_START_SECONDS):
                    await consumer.start()
                client = consumer._client  # noqa: SLF001 - it has no say over its brokers otherwise
                beside = [
                    group.create_task(self._read_log_ends(consumer)),
                    group.create_task(self._commit(consumer)),
                    group.create_task(self._watch(consumer)),
                    group.create_task(_keep_in_touch(client)),
                    group.create_task(_end_when_blind(client)),
                ]
                await self._poll(consumer)
                for task in beside:
                    task.cancel()
                await self._give_up(list(self._workers))
        finally:
            await self._give_up(list(self._workers))
            await _close(consumer)
            self._group = self._consumer = None
            _LAG.set(0)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            self._polled_at = time.monotonic()
            try:
                batches = await self._read(consumer)
            except OffsetOutOfRangeError as error:
                for place in error.args[0]:
                    self._out_of_range(place)
                continue
            except NoOffsetForPartitionError:
                # From between an assignment and the first seek.
                continue
            for place, records in batches.items():
                worker = self._workers.get(place.partition)
                if worker is not None:
                    worker.offer([_record(record) for record in records])

    async def _read(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return records of partitions that are not full."""
        reading = [worker.partition for worker in self._workers.values() if worker.reads]
        wanted: list[TopicPartition] = []
        milliseconds = _POLL_MILLISECONDS
        if len(reading) < len(self._workers):
            # Of those that are not named, what was read stays where it is.
            wanted = [TopicPartition(self._topic, partition) for partition in reading]
            milliseconds = _CROWDED_POLL_MILLISECONDS
            if not wanted:
                await self._rest(milliseconds / 1000)
                return {}
        records: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            *wanted, timeout_ms=milliseconds, max_records=self._room.portion
        )
        return records

    def _out_of_range(self, place: TopicPartition) -> None:
        worker = self._workers.get(place.partition)
        if worker is not None:
            worker.lose_the_place()

    async def _read_log_ends(self, consumer: AIOKafkaConsumer) -> None:
        """Tell the handler, time and again, up to when everything in the log has taken effect."""
        while True:
            await asyncio.sleep(self._log_end_seconds)
            claimed = [worker for worker in self._workers.values() if worker.claimed]
            if not claimed:
                continue
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    # The time comes first: what arrives in between then only counts as not done.
                    at = await self._handler.now()
                    ends = await self._log_ends(consumer, claimed)
            # The database may be what is away, and this part knows none of its errors.
            except Exception as error:  # noqa: BLE001
                log.warning("kafka.log_ends_unknown", error=_name(error))
                continue
            _LAG.set(sum(worker.lag(ends[worker.partition]) for worker in claimed))
            for worker in claimed:
                worker.note_log_end(ends[worker.partition], at)

    async def _log_ends(
        self, consumer: AIOKafkaConsumer, workers: Sequence[PartitionWorker]
    ) -> Mapping[int, int]:
        places = [TopicPartition(self._topic, worker.partition) for worker in workers]
        ends = await consumer.end_offsets(places)
        return {place.partition: end for place, end in ends.items()}

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Tell Kafka where we are; only lag metrics look at it, so failures do not matter."""
        committed: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(_COMMIT_SECONDS)
            positions = {
                TopicPartition(self._topic, worker.partition): worker.position
                for worker in self._workers.values()
                if worker.claimed
            }
            changed = {
                place: OffsetAndMetadata(position, "")
                for place, position in positions.items()
                if committed.get(place) != position
            }
            if not changed:
                continue
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    await consumer.commit(changed)
            except (TimeoutError, KafkaError) as error:
                log.info("kafka.position_not_committed", error=_name(error))
            else:
                committed = positions

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """End the session when the client has stopped working."""
        beating_at = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = time.monotonic()
            if now - self._polled_at > _STUCK_SECONDS:
                raise _StuckError("polling")
            # A member without partitions that left the group stays outside for ever (#1187).
            task = consumer._coordinator._heartbeat_task  # noqa: SLF001 - there is no other sign
            if task is not None and not task.done():
                beating_at = now
            elif now - beating_at > _STUCK_SECONDS:
                raise _StuckError("heart-beat")

    async def _give_up(self, partitions: Iterable[int]) -> None:
        workers = [
            worker
            for worker in (self._workers.pop(partition, None) for partition in partitions)
            if worker is not None
        ]
        _PARTITIONS.set(len(self._workers))
        if not workers:
            return
        await _end(workers)
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS):
                await asyncio.gather(*(worker.give_back() for worker in workers))
        except TimeoutError:
            log.warning("kafka.partitions_not_given_back", partitions=len(workers))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


class _Log:
    """One partition of the consumer, as its worker sees it."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        self._consumer = consumer
        self._place = place

    def pause(self) -> None:
        if self._is_ours():
            self._consumer.pause(self._place)

    def resume(self) -> None:
        if self._is_ours():
            self._consumer.resume(self._place)

    def go_to(self, offset: int) -> None:
        if self._is_ours():
            self._consumer.seek(self._place, offset)

    async def bounds(self) -> tuple[int, int]:
        async with asyncio.timeout(_CALL_SECONDS):
            start = await self._consumer.beginning_offsets([self._place])
            end = await self._consumer.end_offsets([self._place])
        return start[self._place], end[self._place]

    def _is_ours(self) -> bool:
        return self._place in self._consumer.assignment()


async def _keep_in_touch(client: AIOKafkaClient) -> None:
    """Let the client find the brokers again whenever it has lost them all."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        await answers(client)


async def _end_when_blind(client: AIOKafkaClient) -> None:
    await until_blind(client)
    raise _StuckError("metadata")


async def _end(workers: Sequence[PartitionWorker]) -> None:
    """Let the running batches of workers end, or cut them off when they take too long."""
    tasks = [worker.task for worker in workers if worker.task is not None]
    for worker in workers:
        worker.stop()
    _done, late = await asyncio.wait(tasks, timeout=_REVOKE_SECONDS)
    for task in late:
        task.cancel()
    if late:
        log.warning("kafka.batches_cut_off", partitions=len(late))
        await asyncio.wait(late)


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await consumer.stop()
    except (TimeoutError, KafkaError) as error:
        log.warning("kafka.consumer_abandoned", error=_name(error))


def _record(record: ConsumerRecord) -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=_headers(record),
        timestamp=record.timestamp,
    )


def _headers(record: ConsumerRecord) -> Sequence[tuple[str, bytes]]:
    # Hardly ever is one without a value, and a copy of all would take a third more memory.
    if all(value is not None for _, value in record.headers):
        return cast("Sequence[tuple[str, bytes]]", record.headers)
    return [(name, value or b"") for name, value in record.headers]


def _name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
