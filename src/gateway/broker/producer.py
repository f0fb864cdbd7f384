"""Writes records so that an acknowledged one is on every in-sync replica, in order and once.

An idempotent aiokafka producer never gives up by itself: it waits for as long as Kafka is away. So
every call here has its own deadline. A record whose deadline passed may still arrive later; whoever
sends it again must be able to tell a repeat by the event's id.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter as Metric
from prometheus_client import Histogram

from gateway.broker.connection import KafkaConnection
from gateway.broker.partitioning import partition_of
from gateway.broker.records import NewRecord
from gateway.broker.topics import Topics, TopicsRefusedError
from gateway.errors import NotDurableError

DEFAULT_SECONDS: Final = 4.0

_START_SECONDS: Final = 15.0
_CHECK_SECONDS: Final = 5.0
_CHECK_PATIENCE_SECONDS: Final = 4.0
# Brokers that are silent for so long may have moved: a new producer asks the bootstrap servers.
_SILENCE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0
_ABANDON_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
# While records of a partition are overdue, one call in so many seconds tries; the rest are refused
# at once, so that an outage does not pile requests up.
_TRY_AGAIN_SECONDS: Final = 1.0
_BATCH_BYTES: Final = 256 * 1024
# What a record's frame adds to its key, value and headers, generously.
_OVERHEAD_BYTES: Final = 64 * 1024
_RETRY_AFTER: Final = timedelta(seconds=5)
_SENTENCE: Final = "The message could not be stored in time. Send it again."

_PRODUCED = Metric(
    "gateway_kafka_produced_total",
    "Calls that wrote records, by outcome: acknowledged, overdue, refused or failed.",
    ["outcome"],
)
_SECONDS = Histogram(
    "gateway_kafka_produce_seconds",
    "Time until every record of a call was acknowledged.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4),
)
_REBUILT = Metric("gateway_kafka_producer_rebuilt_total", "Times the producer was made anew.")

_ACKNOWLEDGED = _PRODUCED.labels("acknowledged")
_OVERDUE = _PRODUCED.labels("overdue")
_REFUSED = _PRODUCED.labels("refused")
_FAILED = _PRODUCED.labels("failed")

log = structlog.get_logger()


class _BrokenError(Exception):
    """This producer is of no use any more; a new one may be."""


class KafkaProducer:
    """The producer of a process; `run` keeps one alive."""

    def __init__(
        self, connection: KafkaConnection, topics: Topics, *, max_message_bytes: int
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._max_message_bytes = max_message_bytes
        self._partitions: dict[str, int] = {}
        self._producer: AIOKafkaProducer | None = None
        self._usable = asyncio.Event()
        self._broken = asyncio.Event()
        self._reachable = False
        # Records that were not acknowledged in time and still may be, by topic and partition.
        self._overdue: Counter[tuple[str, int]] = Counter()
        self._try_again_at: dict[tuple[str, int], float] = {}

    @property
    def reachable(self) -> bool:
        """Whether Kafka answered lately."""
        return self._reachable and self._producer is not None

    async def run(self) -> None:
        """Keep a producer alive until cancelled, whatever Kafka does.

        Raises:
            TopicsRefusedError: The topics must not be used as they are.
        """
        pause = _FIRST_PAUSE_SECONDS
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    producer = await self._start()
                except TopicsRefusedError:
                    raise
                # The database may be what is away, and this part knows none of its errors.
                except Exception as error:  # noqa: BLE001
                    log.warning("kafka.not_reachable", error=type(error).__name__)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                    continue
                pause = _FIRST_PAUSE_SECONDS
                await self._watch(producer)
                _REBUILT.inc()
                group.create_task(_close(producer, _CLOSE_SECONDS))

    async def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: datetime,
        *,
        partition: int | None = None,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - part of the promise, not a wrapper
    ) -> None:
        """Return once a record is durable.

        Raises:
            NotDurableError: It was not within `timeout` seconds; it may become so later.
        """
        record = NewRecord(topic, key, value, headers, timestamp, partition)
        await self.produce_all([record], timeout=timeout)

    async def produce_all(
        self,
        records: Sequence[NewRecord],
        *,
        timeout: float = DEFAULT_SECONDS,  # noqa: ASYNC109 - part of the promise, not a wrapper
    ) -> None:
        """Return once every record is durable; those of one partition in the order given.

        Raises:
            NotDurableError: Not all were within `timeout` seconds; some may be, or become so.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    await self._usable.wait()
                    try:
                        await self._send(records, loop.time())
                        break
                    except _BrokenError:
                        # Whoever reads drops repeats, and all records go again in order.
                        continue
        except TimeoutError as error:
            _OVERDUE.inc()
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER) from error
        _ACKNOWLEDGED.inc()
        _SECONDS.observe(loop.time() - began)

    async def stop(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Flush what is on its way and close; `run` has ended before."""
        producer, self._producer = self._producer, None
        self._usable.clear()
        if producer is not None:
            await _close(producer, seconds)

    async def _start(self) -> AIOKafkaProducer:
        self._partitions = dict(await self._topics.ensure())
        producer = AIOKafkaProducer(
            **self._connection.arguments("gateway-producer"),
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=self._max_message_bytes + _OVERHEAD_BYTES,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await producer.start()
                for topic in self._partitions:
                    await producer.partitions_for(topic)
        except BaseException:
            await _close(producer, 0.0)
            raise
        self._producer = producer
        self._reachable = True
        self._broken.clear()
        self._usable.set()
        return producer

    async def _watch(self, producer: AIOKafkaProducer) -> None:
        """Return when the producer is of no use any more."""
        # If this private task ends, aiokafka accepts records and never sends them.
        sender: asyncio.Task[None] = producer._sender.sender_task  # noqa: SLF001
        broken = asyncio.ensure_future(self._broken.wait())
        silent = 0.0
        try:
            while not (sender.done() or broken.done()) and silent < _SILENCE_SECONDS:
                await asyncio.wait(
                    {sender, broken},
                    timeout=_CHECK_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                self._reachable = await _answers(producer)
                silent = 0.0 if self._reachable else silent + _CHECK_SECONDS
        finally:
            broken.cancel()
        self._producer = None
        self._reachable = False
        self._usable.clear()
        # What was overdue there is nobody's any more.
        self._overdue, self._try_again_at = Counter(), {}
        if sender.done():
            _fail_what_waits(producer)
        log.warning("kafka.producer_broken", sender_ended=sender.done(), silent_seconds=silent)

    async def _send(self, records: Sequence[NewRecord], now: float) -> None:
        producer = self._producer
        if producer is None or producer._sender.sender_task.done():  # noqa: SLF001 - see _watch
            raise self._break(producer)
        places = [self._place(record) for record in records]
        if self._overdue:
            self._refuse_if_stalled(places, now)
        acknowledgements: list[asyncio.Future[object]] = []
        try:
            for record, (topic, partition) in zip(records, places, strict=True):
                acknowledgements.append(
                    await producer.send(
                        topic,
                        value=record.value,
                        key=record.key,
                        partition=partition,
                        timestamp_ms=round(record.timestamp.timestamp() * 1000),
                        headers=record.headers,
                    )
                )
            await asyncio.wait(acknowledgements, return_when=asyncio.FIRST_EXCEPTION)
        except (KafkaError, AssertionError) as error:
            # Refused before it was queued: too large, no such partition, no permission.
            _FAILED.inc()
            log.error("kafka.record_refused", error=type(error).__name__)  # noqa: TRY400 - no text
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER) from error
        finally:
            failure = self._look_at(acknowledgements, places)
        if failure is not None:
            log.warning("kafka.producer_failed", error=type(failure).__name__)
            raise self._break(producer) from failure

    def _place(self, record: NewRecord) -> tuple[str, int]:
        if record.partition is not None:
            return record.topic, record.partition
        assert record.key is not None
        return record.topic, partition_of(record.key, self._partitions[record.topic])

    def _refuse_if_stalled(self, places: Sequence[tuple[str, int]], now: float) -> None:
        stalled = [place for place in places if self._overdue[place]]
        if not stalled:
            return
        if any(now < self._try_again_at[place] for place in stalled):
            _REFUSED.inc()
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER)
        for place in stalled:
            self._try_again_at[place] = now + _TRY_AGAIN_SECONDS

    def _look_at(
        self,
        acknowledgements: Sequence[asyncio.Future[object]],
        places: Sequence[tuple[str, int]],
    ) -> BaseException | None:
        """Return a failure among them, if any; those that are open yet are overdue."""
        failure: BaseException | None = None
        for acknowledgement, place in zip(acknowledgements, places, strict=False):
            if acknowledgement.done():
                failure = acknowledgement.exception() or failure
            else:
                self._note_overdue(acknowledgement, place)
        return failure

    def _note_overdue(
        self, acknowledgement: asyncio.Future[object], place: tuple[str, int]
    ) -> None:
        overdue, try_again_at = self._overdue, self._try_again_at

        def settled(ended: asyncio.Future[object]) -> None:
            if not ended.cancelled():
                # Somebody has to look, or asyncio complains that nobody did.
                ended.exception()
            overdue[place] -= 1
            if overdue[place] <= 0:
                del overdue[place]
                try_again_at.pop(place, None)

        overdue[place] += 1
        again_at = asyncio.get_running_loop().time() + _TRY_AGAIN_SECONDS
        try_again_at.setdefault(place, again_at)
        acknowledgement.add_done_callback(settled)

    def _break(self, producer: AIOKafkaProducer | None) -> _BrokenError:
        # What an earlier producer left behind says nothing about this one.
        if producer is self._producer:
            self._usable.clear()
            self._broken.set()
        return _BrokenError()


async def _answers(producer: AIOKafkaProducer) -> bool:
    try:
        async with asyncio.timeout(_CHECK_PATIENCE_SECONDS):
            return bool(await producer.client.force_metadata_update())
    except (TimeoutError, KafkaError):
        return False


async def _close(producer: AIOKafkaProducer, seconds: float) -> None:
    """Flush and close within so many seconds, or drop what is left."""
    try:
        async with asyncio.timeout(seconds):
            await producer.stop()
    except (TimeoutError, KafkaError) as error:
        log.warning("kafka.producer_abandoned", error=type(error).__name__)
        await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    sender: asyncio.Task[None] | None = producer._sender.sender_task  # noqa: SLF001 - see above
    if sender is not None:
        sender.cancel()
    _fail_what_waits(producer)
    try:
        async with asyncio.timeout(_ABANDON_SECONDS):
            await producer.client.close()
    except (TimeoutError, KafkaError):
        pass
    # It will be closed no better than this, whatever it says when it is collected.
    producer._closed = True  # noqa: SLF001 - see above


def _fail_what_waits(producer: AIOKafkaProducer) -> None:
    """Let calls that wait for a producer without a sender task know that they wait in vain."""
    accumulator = producer._message_accumulator  # noqa: SLF001 - see above
    accumulator.fail_all(KafkaError("the sender task ended"))
    for batches in accumulator._batches.values():  # noqa: SLF001 - see above
        for batch in batches:
            # Nobody waits for these, and asyncio would complain that nobody looked.
            batch._drain_waiter.exception()  # noqa: SLF001 - see above
