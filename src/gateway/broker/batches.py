"""Waits for aiokafka's batches as a whole.

aiokafka makes a future for each record and wakes a task for each of them, which costs more than
writing the record. Records of a burst share a batch: here all who wait for one are called from one
callback, and one deadline is kept for them. What a batch holds, its order, sequence numbers and
repeats are aiokafka's own.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from gateway.broker.deadlines import Deadlines
from gateway.broker.records import NewRecord
from gateway.errors import NotDurableError

# The accumulator waits for room where a record is larger.
LARGEST_BYTES: Final = 128 * 1024
# More than a batch, a record and a header have beside what they hold.
_FRAME_BYTES: Final = 128
_HEADER_BYTES: Final = 10

log = structlog.get_logger()


class Call:
    """Records that were written together, and who wants to know when all are acknowledged."""

    __slots__ = ("_ended", "began", "deadline", "left", "places", "producer", "records", "then")

    def __init__(
        self,
        producer: AIOKafkaProducer,
        records: Sequence[NewRecord],
        places: Sequence[TopicPartition],
        began: float,
        deadline: float,
        then: Callable[[NotDurableError | None], None],
        ended: "Callable[[Call, BaseException | None], None] | None",
    ) -> None:
        """Describe the call; `ended` is told of the first error, or None when all is well."""
        self.producer = producer
        self.records = records
        self.places = places
        self.began = began
        self.deadline = deadline
        # Batches that were not acknowledged.
        self.left = 0
        self.then = then
        self._ended = ended

    def end(self, error: BaseException | None) -> None:
        """Tell who waits, once."""
        ended, self._ended = self._ended, None
        if ended is not None:
            try:
                ended(self, error)
            except Exception as fault:
                # The others of the batch have to be told all the same.
                log.exception("kafka.answer_failed", error=type(fault).__name__)

    def forget(self) -> None:
        """Tell nobody."""
        self._ended = None


class Batches:
    """The batches of one event loop that somebody waits for."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._waiting: dict[Any, _Batch] = {}

    def append(self, call: Call) -> bool:
        """Put records into batches, where there is room; False: there is not, and none was."""
        accumulator = call.producer._message_accumulator  # noqa: SLF001 - no port of aiokafka's does it
        if accumulator._closed or accumulator._exception is not None:  # noqa: SLF001 - see above
            return False
        if len(call.records) > 1 and not _has_room(accumulator, call):
            return False
        moment, milliseconds = None, 0
        for record, place in zip(call.records, call.places, strict=True):
            queued = accumulator._batches.get(place)  # noqa: SLF001 - see above
            batch = (
                queued[-1]
                if queued
                else accumulator._append_batch(accumulator.create_builder(), place)  # noqa: SLF001
            )
            if record.timestamp is not moment:
                moment = record.timestamp
                milliseconds = round(moment.timestamp() * 1000)
            written = batch._builder.append(  # noqa: SLF001 - see above
                timestamp=milliseconds,
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
            if written is None:
                # The batch is full, or is sent again and takes no more.
                call.forget()
                return False
            self._wait(batch, call)
        return True

    def _wait(self, batch: Any, call: Call) -> None:  # noqa: ANN401 - aiokafka's MessageBatch
        waiting = self._waiting.get(batch)
        if waiting is None:
            waiting = self._waiting[batch] = _Batch(self._deadlines)
            self._deadlines.watch_wait(waiting, call.deadline)
            batch.future.add_done_callback(lambda future: self._settle(batch, future))
        elif waiting.calls[-1] is call:
            return
        waiting.calls.append(call)
        call.left += 1

    def _settle(self, batch: Any, future: asyncio.Future[Any]) -> None:  # noqa: ANN401 - as above
        self._waiting.pop(batch).settle(
            asyncio.CancelledError() if future.cancelled() else future.exception()
        )


def _has_room(accumulator: Any, call: Call) -> bool:  # noqa: ANN401 - aiokafka's MessageAccumulator
    """Say whether all records of a call fit where they belong, as things stand."""
    needed: Counter[TopicPartition] = Counter()
    for record, place in zip(call.records, call.places, strict=True):
        needed[place] += _most_bytes(record)
    for place, size in needed.items():
        queued = accumulator._batches.get(place)  # noqa: SLF001 - as for append
        if queued:
            builder = queued[-1]._builder  # noqa: SLF001 - as for append
            if builder.closed():
                return False
            size += builder.size()  # noqa: PLW2901 - the sum is what counts
        if size > accumulator._batch_size - _FRAME_BYTES:  # noqa: SLF001 - as for append
            return False
    return True


def _most_bytes(record: NewRecord) -> int:
    """Return what a record takes at most."""
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    parts = len(record.key or b"") + len(record.value or b"") + headers
    return parts + _FRAME_BYTES + _HEADER_BYTES * len(record.headers)


class _Batch:
    """The calls that wait for one batch."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.calls: list[Call] = []
        self._deadlines = deadlines
        self._settled = False

    def done(self) -> bool:
        """Say whether nobody waits any more."""
        return self._settled

    def settle(self, error: BaseException | None) -> None:
        """Tell all who wait."""
        self._settled = True
        # This is kept until its deadline, thousands of others too: what they held has to go now.
        calls, self.calls = self.calls, []
        if error is None:
            for call in calls:
                call.left -= 1
                if not call.left:
                    call.end(None)
        else:
            for call in calls:
                call.end(error)

    def expire(self, now: float) -> None:
        """Tell those whose time is up."""
        rest = []
        for call in self.calls:
            if call.deadline <= now:
                call.end(TimeoutError())
            else:
                rest.append(call)
        self.calls = rest
        if rest:
            self._deadlines.watch_wait(self, min(call.deadline for call in rest))
