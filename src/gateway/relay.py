"""Publishes what transactions announced: committed events, in order for each key.

A shard's events are read in the order of their keys' sequence numbers, produced, and only then
given their positions. A death in between publishes them again, with the same ids: consumers drop
repeats. Because a conversation's (or an account's) events are committed one after another under a
lock, what is read of a key never has a hole that a later commit fills.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from gateway.broker.producer import KafkaProducer
from gateway.broker.records import NewRecord
from gateway.contracts.envelope import Attributes, to_headers
from gateway.contracts.topics import CONVERSATIONS, DEAD_LETTERS
from gateway.db.dead_letters import headers_from_json
from gateway.db.failures import is_transient, name_of
from gateway.db.leases import ShardLeases
from gateway.db.publishing import (
    ReturningLetter,
    UncopiedLetter,
    UnpublishedEvent,
    find_returning,
    find_uncopied,
    find_unpublished,
    give_positions,
    mark_copied,
    mark_returned,
)
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.domain.shards import DEAD_LETTER_SHARD, shard_of
from gateway.errors import NotDurableError
from gateway.points import Point, go_on

_SWEEP_SECONDS: Final = 1.0
_BATCH: Final = 500
_LETTERS: Final = 50
_PAUSE_SECONDS: Final = 0.5
_PRODUCE_SECONDS: Final = 10.0
# What a batch costs beside its events is shared by more of them where there are many a second;
# where there are few, none waits.
_MANY: Final = 200
_GATHER_SECONDS: Final = 0.05

_PUBLISHED = Counter("gateway_relay_published_total", "Events published to Kafka.")
_COPIED = Counter("gateway_relay_dead_letters_total", "Dead letters copied to Kafka.")
_PUT_BACK = Counter("gateway_relay_put_back_total", "Dead letters put back on their topics.")
_LAG = Gauge(
    "gateway_relay_lag_seconds",
    "Age of the oldest event of the last batch when it was published.",
)

log = structlog.get_logger()


class Relay:
    """Publishes the events of the relay shards that this process has."""

    def __init__(
        self,
        database: Database,
        producer: KafkaProducer,
        leases: ShardLeases,
        *,
        wakeups: Wakeups | None = None,
        at: Point = go_on,
    ) -> None:
        """Take what it works with; `at` is awaited at named points, for tests that stop there."""
        self._database = database
        self._producer = producer
        self._leases = leases
        self._at = at
        self._woken: set[int] = set()
        self._work = asyncio.Event()
        # The batches of the last second: when, and how many events.
        self._lately: deque[tuple[float, int]] = deque()
        leases.on_gained(self._look_at)
        if wakeups is not None:
            wakeups.listen("relay", self._look_at)

    async def run(self) -> None:
        """Publish until cancelled; woken by commits, and once a second whatever happens."""
        time = asyncio.get_running_loop().time
        sweep_at = time() + _SWEEP_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(sweep_at):
                    await self._work.wait()
            except TimeoutError:
                pass
            self._work.clear()
            shards, self._woken = self._woken, set()
            # However busy some shards are, what a lost wake-up left in others has its turn.
            if time() >= sweep_at:
                shards, sweep_at = set(), time() + _SWEEP_SECONDS
            try:
                await self._gather(time(), await self.publish(shards))
            except Exception as error:
                if not isinstance(error, NotDurableError) and not is_transient(error):
                    raise
                log.warning("relay.waits", error=name_of(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                # Nobody is woken again for what was not published.
                sweep_at = time()

    async def publish(self, shards: Collection[int] = ()) -> int:
        """Publish everything that is committed in these shards, or in all; return how many."""
        published = 0
        while True:
            mine = [shard for shard in (shards or self._leases.mine) if self._leases.safe(shard)]
            done = await self._some(mine) if mine else 0
            published += done
            if done < _BATCH:
                break
        looked_for = not shards or DEAD_LETTER_SHARD in shards
        if looked_for and self._leases.safe(DEAD_LETTER_SHARD):
            await self._copy_dead_letters()
            await self._put_back_dead_letters()
        return published

    async def _gather(self, now: float, published: int) -> None:
        """Wait a little for more where a second brings many."""
        self._lately.append((now, published))
        while self._lately[0][0] < now - 1:
            self._lately.popleft()
        if sum(events for _, events in self._lately) >= _MANY:
            await asyncio.sleep(_GATHER_SECONDS)

    def _look_at(self, shards: Iterable[int]) -> None:
        # None of all means everywhere: the wake-up connection is new.
        self._woken.update(set(shards) or self._leases.mine)
        self._work.set()

    async def _some(self, shards: Sequence[int]) -> int:
        async with self._database.unit_of_work() as work:
            events = await find_unpublished(work.connection, shards, limit=_BATCH)
            now = work.now
        if not events:
            return 0
        await self._at("before_produce")
        await self._producer.produce_all(
            [_record(event) for event in events], timeout=_PRODUCE_SECONDS
        )
        await self._at("before_mark")
        async with self._database.unit_of_work() as work:
            await give_positions(work.connection, _in_order_of_commit(events))
            work.wake("feed", {shard_of(event.account_id) for event in events})
        _PUBLISHED.inc(len(events))
        _LAG.set(max(0.0, (now - min(event.created_at for event in events)).total_seconds()))
        return len(events)

    async def _copy_dead_letters(self) -> None:
        async with self._database.unit_of_work() as work:
            letters = await find_uncopied(work.connection, limit=_LETTERS)
        if not letters:
            return
        await self._producer.produce_all(
            [_copy(letter) for letter in letters], timeout=_PRODUCE_SECONDS
        )
        async with self._database.unit_of_work() as work:
            ids = [letter.id for letter in letters]
            await mark_copied(work.connection, ids, now=work.now)
        _COPIED.inc(len(letters))

    async def _put_back_dead_letters(self) -> None:
        """Put records back on their topics; whoever dies in between puts them back twice."""
        while True:
            async with self._database.unit_of_work() as work:
                letters = await find_returning(work.connection, limit=_LETTERS)
                now = work.now
            if not letters:
                return
            await self._at("before_put_back")
            await self._producer.produce_all(
                [_returned(letter, now) for letter in letters], timeout=_PRODUCE_SECONDS
            )
            await self._at("before_mark_returned")
            async with self._database.unit_of_work() as work:
                ids = [letter.id for letter in letters]
                await mark_returned(work.connection, ids, now=work.now)
            _PUT_BACK.inc(len(letters))


def _in_order_of_commit(events: Sequence[UnpublishedEvent]) -> list[UnpublishedEvent]:
    """Return events by time, those of one key by their numbers whatever their times say."""
    latest: dict[str, datetime] = {}
    placed = []
    for event in events:
        latest[event.key] = max(latest.get(event.key, event.created_at), event.created_at)
        placed.append((latest[event.key], event.key, event.sequence, event))
    return [event for *_, event in sorted(placed, key=lambda each: each[:3])]


def _record(event: UnpublishedEvent) -> NewRecord:
    attributes = Attributes(
        id=event.id,
        source=event.source,
        type=event.type,
        time=event.occurred_at,
        subject=event.subject,
        partitionkey=event.key,
        sequence=str(event.sequence),
        traceparent=event.traceparent,
    )
    return NewRecord(
        topic=CONVERSATIONS,
        key=event.key.encode(),
        value=event.value(),
        headers=to_headers(attributes),
        timestamp=event.created_at,
    )


def _copy(letter: UncopiedLetter) -> NewRecord:
    headers = [
        *headers_from_json(letter.record_headers),
        ("dead_letter_id", letter.id.encode()),
        ("reason", letter.reason.encode()),
        ("stage", letter.stage.encode()),
        ("attempts", str(letter.attempts).encode()),
    ]
    return NewRecord(
        topic=DEAD_LETTERS,
        key=letter.record_key or letter.id.encode(),
        value=letter.record_value,
        headers=headers,
        timestamp=letter.at,
    )


def _returned(letter: ReturningLetter, now: datetime) -> NewRecord:
    return NewRecord(
        topic=letter.topic,
        key=letter.record_key,
        value=letter.record_value,
        headers=headers_from_json(letter.record_headers),
        timestamp=now,
        partition=letter.partition,
    )
