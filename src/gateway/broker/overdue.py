"""Remembers what Kafka did not acknowledge in time: an outage must not pile requests up."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

# While records of a partition are overdue, one call in so many seconds tries; the rest are refused
# at once.
_TRY_AGAIN_SECONDS: Final = 1.0


class Overdue:
    """Batches of one producer that were not acknowledged in time and still may be."""

    def __init__(self) -> None:
        # By partition; a batch counts once for each record in it whose time was up.
        self._batches: Counter[TopicPartition] = Counter()
        self._try_again_at: dict[TopicPartition, float] = {}

    def __bool__(self) -> bool:
        return bool(self._batches)

    def may_try(self, places: Iterable[TopicPartition], now: float) -> bool:
        """Say whether records may be written there now: nothing is overdue, or a try is due."""
        stalled = [place for place in places if self._batches[place]]
        if any(now < self._try_again_at[place] for place in stalled):
            return False
        for place in stalled:
            self._try_again_at[place] = now + _TRY_AGAIN_SECONDS
        return True

    def note(self, producer: AIOKafkaProducer, place: TopicPartition, now: float) -> None:
        """Take note that a record of a partition was not acknowledged in time."""
        for batch in _unsettled(producer, place):
            self._batches[place] += 1
            self._try_again_at.setdefault(place, now + _TRY_AGAIN_SECONDS)
            batch.future.add_done_callback(lambda ended: self._settled(ended, place))

    def _settled(self, ended: asyncio.Future[Any], place: TopicPartition) -> None:
        if not ended.cancelled():
            # Somebody has to look, or asyncio complains that nobody did.
            ended.exception()
        self._batches[place] -= 1
        if self._batches[place] <= 0:
            del self._batches[place]
            self._try_again_at.pop(place, None)


def _unsettled(producer: AIOKafkaProducer, place: TopicPartition) -> Sequence[Any]:
    """Return the batches of a partition that wait to be sent, or for Kafka's answer."""
    accumulator = producer._message_accumulator  # noqa: SLF001 - nothing else knows of its batches
    waiting = accumulator._batches.get(place, ())  # noqa: SLF001 - see above
    sent = [batch for batch in accumulator._pending_batches if batch.tp == place]  # noqa: SLF001
    return [*waiting, *sent]
