"""Writes records so that an acknowledged one is on every in-sync replica, in order and once.

An idempotent aiokafka producer never gives up by itself: it waits for as long as Kafka is away. So
every call here has its own deadline. A record whose deadline passed may still arrive later; whoever
sends it again must be able to tell a repeat by the event's id.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError
from prometheus_client import Counter as Metric

from gateway.broker.batches import LARGEST_BYTES, Batches, Call
from gateway.broker.connection import KafkaConnection
from gateway.broker.deadlines import Deadlines
from gateway.broker.overdue import Overdue
from gateway.broker.partitioning import KNOWN_KEYS, partition_of
from gateway.broker.reachability import answers, until_blind
from gateway.broker.records import NewRecord
from gateway.broker.topics import Topics, TopicsRefusedError
from gateway.errors import NotDurableError
from gateway.quick_metrics import QuickCounter, QuickHistogram

DEFAULT_SECONDS: Final = 4.0

_START_SECONDS: Final = 15.0
# Nobody waits longer. A frozen broker costs this three times: for what is on its way, for asking
# it about the others, and for connecting anew; the others have taken over by then.
_REQUEST_SECONDS: Final = 5.0
_CHECK_SECONDS: Final = 5.0
# While there is no answer.
_CHECK_AGAIN_SECONDS: Final = 1.0
# Brokers that are silent for so long may have moved: a new producer asks the bootstrap servers.
_SILENCE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0
_ABANDON_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 2.0
_BATCH_BYTES: Final = 256 * 1024
# What a record's frame adds to its key, value and headers, generously.
_OVERHEAD_BYTES: Final = 64 * 1024
_RETRY_AFTER: Final = timedelta(seconds=5)
_SENTENCE: Final = "The message could not be stored in time. Send it again."

_PRODUCED = QuickCounter(
    "gateway_kafka_produced_total",
    "Calls that wrote records, by outcome: acknowledged, overdue, refused or failed.",
    "outcome",
)
_SECONDS = QuickHistogram(
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


class _UnsentError(Exception):
    """Its partition had no leader for so long that it was given up; the producer is well."""


class _RefusedError(Exception):
    """A record was refused before it was queued; what refused it is the cause."""


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
        self._stopped = asyncio.Event()
        self._reachable = False
        self._deadlines = Deadlines()
        self._overdue = Overdue()
        self._batches = Batches(self._deadlines)
        # The loop's, once there is one.
        self._time: Callable[[], float] = time.monotonic
        # Of what is tried again while nobody waits for it in a task of their own.
        self._tries: asyncio.TaskGroup | None = None

    @property
    def reachable(self) -> bool:
        """Whether Kafka answered lately."""
        return self._reachable and self._producer is not None

    async def run(self) -> None:
        """Keep a producer alive until stopped or cancelled, whatever Kafka does.

        Raises:
            TopicsRefusedError: The topics must not be used as they are.
        """
        pause = _FIRST_PAUSE_SECONDS
        async with asyncio.TaskGroup() as group:
            self._tries = group
            while not self._stopped.is_set():
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
                if self._stopped.is_set():
                    return
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
        deadline = began + timeout
        try:
            while True:
                if not self._usable.is_set():
                    async with asyncio.timeout_at(deadline):
                        await self._usable.wait()
                try:
                    await self._send(records, deadline)
                    break
                except (_BrokenError, _UnsentError):
                    # Whoever reads drops repeats, and all records go again in order.
                    continue
        except TimeoutError as error:
            _OVERDUE.inc()
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER) from error
        _ACKNOWLEDGED.inc()
        _SECONDS.observe(loop.time() - began)

    def write(
        self,
        records: Sequence[NewRecord],
        then: Callable[[NotDurableError | None], None],
        *,
        timeout: float = DEFAULT_SECONDS,
    ) -> bool:
        """Do what `produce_all` does, and call back when that would return or raise.

        False: it cannot begin at once. `then` is not called, and `produce_all` is there to wait; it
        is never called before this returns.
        """
        producer = self._producer
        if (
            producer is None or not self._usable.is_set() or producer._sender.sender_task.done()  # noqa: SLF001 - see _watch
        ):
            return False
        places = []
        for record in records:
            if record.value is not None and len(record.value) > LARGEST_BYTES:
                return False
            places.append(self._place(record))
        now = self._time()
        if self._overdue and not self._overdue.may_try(places, now):
            return False
        call = Call(producer, records, places, now, now + timeout, then, self._ended)
        return self._batches.append(call)

    async def stop(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Flush what is on its way and close; `run` ends, if it has not before."""
        self._stopped.set()
        producer, self._producer = self._producer, None
        self._usable.clear()
        if producer is not None:
            await _close(producer, seconds)

    async def _start(self) -> AIOKafkaProducer:
        self._partitions = dict(await self._topics.ensure())
        self._time = asyncio.get_running_loop().time
        producer = AIOKafkaProducer(
            **self._connection.arguments("gateway-producer", request_seconds=_REQUEST_SECONDS),
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
        async with asyncio.TaskGroup() as group:
            silence = group.create_task(self._until_silent(producer))
            blindness = group.create_task(until_blind(producer.client))
            broken = group.create_task(self._broken.wait())
            signs = {silence, blindness, broken}
            await asyncio.wait({sender, *signs}, return_when=asyncio.FIRST_COMPLETED)
            silent, blind = silence.done(), blindness.done()
            for sign in signs:
                sign.cancel()
        self._producer = None
        self._reachable = False
        self._usable.clear()
        # What was overdue there is nobody's any more.
        self._overdue = Overdue()
        if sender.done():
            _fail_what_waits(producer)
        log.warning("kafka.producer_broken", sender_ended=sender.done(), silent=silent, blind=blind)

    async def _until_silent(self, producer: AIOKafkaProducer) -> None:
        """Ask time and again whether Kafka answers; return when it has not for long."""
        answered_at = time.monotonic()
        while time.monotonic() - answered_at < _SILENCE_SECONDS:
            await asyncio.sleep(_CHECK_SECONDS if self._reachable else _CHECK_AGAIN_SECONDS)
            self._reachable = await answers(producer.client)
            if self._reachable:
                answered_at = time.monotonic()

    async def _send(self, records: Sequence[NewRecord], deadline: float) -> None:
        """Return once all are acknowledged.

        Raises:
            NotDurableError: They were refused, and would be again.
            TimeoutError: They were not acknowledged in time.
            _BrokenError: The producer has failed.
            _UnsentError: They were given up before they were sent.
        """
        producer = self._producer
        if producer is None or producer._sender.sender_task.done():  # noqa: SLF001 - see _watch
            raise self._break(producer)
        places = [self._place(record) for record in records]
        now = asyncio.get_running_loop().time()
        if self._overdue and not self._overdue.may_try(places, now):
            _REFUSED.inc()
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER)
        acknowledgements: list[asyncio.Future[object]] = []
        try:
            for record, place in zip(records, places, strict=True):
                acknowledgement = await _enqueue(producer, record, place, deadline - now)
                self._deadlines.watch(acknowledgement, deadline)
                acknowledgements.append(acknowledgement)
            if len(acknowledgements) == 1:
                await acknowledgements[0]
            else:
                await asyncio.wait(acknowledgements, return_when=asyncio.FIRST_EXCEPTION)
                _raise_first(acknowledgements)
        except _RefusedError as error:
            _FAILED.inc()
            log.error("kafka.record_refused", error=type(error.__cause__).__name__)  # noqa: TRY400 - no text
            raise NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER) from error
        except KafkaError as error:
            raise self._judge(producer, error) from error
        finally:
            self._look_at(producer, acknowledgements, places)

    def _place(self, record: NewRecord) -> TopicPartition:
        if record.partition is not None:
            return _place(record.topic, record.partition)
        assert record.key is not None
        return _place_of(record.topic, record.key, self._partitions[record.topic])

    def _ended(self, call: Call, error: BaseException | None) -> None:
        """Answer who called `write`, or try once more."""
        now, then = self._time(), call.then
        if error is None:
            _ACKNOWLEDGED.inc()
            _SECONDS.observe(now - call.began)
            then(None)
        elif isinstance(error, TimeoutError):
            for place in call.places:
                self._overdue.note(call.producer, place, now)
            _OVERDUE.inc()
            then(NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER))
        else:
            if isinstance(error, KafkaError):
                self._judge(call.producer, error)
            if self._tries is None or self._stopped.is_set():
                then(NotDurableError(_SENTENCE, retry_after=_RETRY_AFTER))
            else:
                self._tries.create_task(self._try_again(call, call.deadline - now, then))

    async def _try_again(
        self, call: Call, seconds: float, then: Callable[[NotDurableError | None], None]
    ) -> None:
        try:
            await self.produce_all(call.records, timeout=seconds)
        except NotDurableError as error:
            then(error)
        else:
            then(None)

    def _look_at(
        self,
        producer: AIOKafkaProducer,
        acknowledgements: Sequence[asyncio.Future[object]],
        places: Sequence[TopicPartition],
    ) -> None:
        """Note what is overdue among them; no one else waits for any of them."""
        for acknowledgement, place in zip(acknowledgements, places, strict=False):
            open_yet = acknowledgement.cancel() or acknowledgement.cancelled()
            if open_yet or isinstance(acknowledgement.exception(), TimeoutError):
                now = asyncio.get_running_loop().time()
                self._overdue.note(producer, place, now)

    def _judge(self, producer: AIOKafkaProducer, error: KafkaError) -> _BrokenError | _UnsentError:
        if error.retriable:
            # What was sent it repeats by itself, for ever.
            return _UnsentError()
        log.warning("kafka.producer_failed", error=type(error).__name__)
        return self._break(producer)

    def _break(self, producer: AIOKafkaProducer | None) -> _BrokenError:
        # What an earlier producer left behind says nothing about this one.
        if producer is self._producer:
            self._usable.clear()
            self._broken.set()
        return _BrokenError()


@lru_cache(maxsize=1024)
def _place(topic: str, partition: int) -> TopicPartition:
    return TopicPartition(topic, partition)


# As many as keys whose partition is known.
@lru_cache(maxsize=KNOWN_KEYS)
def _place_of(topic: str, key: bytes, partitions: int) -> TopicPartition:
    return _place(topic, partition_of(key, partitions))


async def _enqueue(
    producer: AIOKafkaProducer, record: NewRecord, place: TopicPartition, seconds: float
) -> asyncio.Future[object]:
    """Put a record into a batch; what is returned is done once that is acknowledged.

    Raises:
        TimeoutError: There was no room in so many seconds.
        _RefusedError: It is too large, or there is no such partition.
    """
    acknowledgement: asyncio.Future[object]
    try:
        if record.partition is None and len(record.value or b"") < _BATCH_BYTES:
            # What `send` does besides is to check what is known here, at twice the cost: that the
            # record is not too large, and that the topic has the partition.
            acknowledgement = await producer._message_accumulator.add_message(  # noqa: SLF001
                place,
                record.key,
                record.value,
                seconds,
                timestamp_ms=_milliseconds(record.timestamp),
                headers=record.headers,
            )
        else:
            async with asyncio.timeout(seconds):
                acknowledgement = await producer.send(
                    place.topic,
                    value=record.value,
                    key=record.key,
                    partition=place.partition,
                    timestamp_ms=_milliseconds(record.timestamp),
                    headers=record.headers,
                )
    except KafkaTimeoutError as error:
        raise TimeoutError from error
    except (KafkaError, AssertionError) as error:
        raise _RefusedError from error
    return acknowledgement


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _raise_first(acknowledgements: Sequence[asyncio.Future[object]]) -> None:
    for acknowledgement in acknowledgements:
        if acknowledgement.done():
            acknowledgement.result()


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
