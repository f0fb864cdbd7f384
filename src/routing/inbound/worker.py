"""Gives the records of the inbound topic their effects, exactly once and in order.

One process owns a partition at a time, and its transactions on it run strictly one after another.
The last statement of each moves the partition's offset under the owner's epoch: a former owner that
wakes up late finds another epoch there, rolls back and lets go. Kafka's own offsets only feed the
lag metrics.

Records of several partitions share a transaction when they wait at the same moment. One that fails
is done again, each partition apart; a partition's batch that fails, record by record. A record that
fails five times for a reason that does not pass, or that kills the process, is set aside; the
partition goes on. While the database is away, or contended, the partition stands still and tries
again.

A process that died may have died of a record that was under way, or of something else altogether.
Its successor does each partition's next records on probation, in transactions of that partition's
own. Where it dies of that as well, they are done one by one, and one that was under way at a death
stands trial: once its process has lived for a moment (what dies at once dies of something else) and
with no other suspect under way. Two deaths on trial convict it; those that others caused acquit
everybody else.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy.exc
import structlog
from prometheus_client import Counter

from gateway.broker.records import Record
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.failures import is_transient, name_of
from gateway.db.inbox import SeenMeanwhileError
from gateway.db.partitions import (
    Ownership,
    claim_partition,
    database_now,
    give_partition_back,
    mark_caught_up,
    move_partition,
    move_partitions,
    suspect,
)
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.partition import PartitionLostError
from gateway.points import Point, go_on
from routing.inbound.arrivals import Arrival, Item, read_record
from routing.inbound.convoy import Convoy
from routing.inbound.transaction import InboundRules, Taker

BATCH_RECORDS: Final = 200
# One computes while another waits for the database; more would only wait for one another's locks.
_TRANSACTIONS: Final = 2
_MARKS: Final = 1000
_FAILURES: Final = 5
# On trial; the death that made it a suspect comes before.
_DEATHS: Final = 2
CALM_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0

_OUT_OF_RANGE = Counter(
    "gateway_routing_offset_out_of_range_total",
    "Times the place where a partition should go on was not in the log: the broker lost records.",
)
_RETRIES = Counter(
    "gateway_routing_retries_total", "Transactions done again, by the kind of failure.", ["kind"]
)

log = structlog.get_logger()


class _SomeLostError(PartitionLostError):
    """Of some partitions whose records share a transaction, somebody else is the owner now."""


@dataclass(slots=True)
class _Partition:
    ownership: Ownership
    # True where its next records must not share a transaction with those of other partitions.
    apart: bool = False
    # How many records are still to be done so, as an owner may have died of one of them.
    probation: int = 0
    # How many records are still to be done one by one.
    singly: int = 0
    # The record that this owner has noted as the one it may die of, and its deaths so far.
    suspected: int | None = None
    tries: int = 0


@dataclass(slots=True)
class _Portion:
    """The next records of a partition, and what became of them."""

    held: _Partition
    records: Sequence[Record]
    # What the records hold, once it is their turn: it takes more memory than they do.
    items: Sequence[Item] = ()
    done: int = 0
    lost: bool = False

    @property
    def size(self) -> int:
        return len(self.records)


@dataclass(slots=True)
class _Mark:
    """A moment up to which a partition has caught up."""

    held: _Partition
    at: datetime
    lost: bool = False

    @property
    def size(self) -> int:
        return 1


class InboundHandler:
    """What the consumer calls with the records of the partitions that this process has."""

    def __init__(
        self,
        database: Database,
        *,
        topic: str,
        rules: InboundRules,
        calm_seconds: float = CALM_SECONDS,
        at: Point = go_on,
    ) -> None:
        """Take what the work needs.

        Args:
            database: Where the effects go.
            topic: What is read.
            rules: For events that nobody owns.
            calm_seconds: From now on; until then no suspect is tried.
            at: Awaited at named points, for tests that stop there.
        """
        self._database = database
        self._topic = topic
        self._rules = rules
        self._at = at
        self._partitions: dict[int, _Partition] = {}
        self._convoy = Convoy(self._travel, at_once=_TRANSACTIONS, most=BATCH_RECORDS)
        self._marks = Convoy(self._mark, at_once=1, most=_MARKS)
        self._calm_at = time.monotonic() + calm_seconds
        self._trial = asyncio.Lock()

    async def assigned(self, partition: int) -> int | None:
        """Claim a partition and return the offset at which it goes on; None: the log's start."""
        async with self._database.unit_of_work() as work:
            ownership = await claim_partition(work.connection, self._topic, partition)
        held = _Partition(ownership)
        if ownership.unclean and ownership.suspect_offset is not None and not ownership.tries:
            # The former owner may have died on any record of a batch, and one before it too.
            held.singly = BATCH_RECORDS
        elif ownership.unclean:
            # It was at one record alone, or on any of its last batch.
            held.singly = int(ownership.suspect_offset is not None)
            held.probation = BATCH_RECORDS
        self._partitions[partition] = held
        log.info(
            "routing.partition_taken",
            partition=partition,
            epoch=ownership.epoch,
            next_offset=ownership.next_offset,
            unclean=ownership.unclean,
        )
        return ownership.next_offset

    async def revoked(self, partition: int) -> None:
        """Give a partition back in order, as far as the database can be told."""
        held = self._partitions.pop(partition, None)
        if held is None:
            return
        try:
            async with self._database.unit_of_work() as work:
                await give_partition_back(work.connection, held.ownership)
        except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            log.warning(
                "routing.partition_not_given_back",
                partition=partition,
                error=name_of(error),
            )

    async def now(self) -> datetime:
        """Return the database's time, to be taken before a log end is read."""
        async with self._database.unit_of_work() as work:
            return await database_now(work.connection)

    async def caught_up(self, partition: int, at: datetime) -> None:
        """Note that all that was in the partition's log at a moment has taken effect.

        Raises:
            PartitionLostError: Somebody else owns it now.
        """
        mark = _Mark(self._held(partition), at)
        await self._marks.ride(mark)
        if mark.lost:
            raise PartitionLostError(f"{self._topic}/{partition}")

    async def out_of_range(self, partition: int, offset: int, log_start: int) -> int:
        """Go on at the log's start: the broker lost what was between; the inbox drops repeats."""
        held = self._held(partition)
        _OUT_OF_RANGE.inc()
        log.error(
            "routing.offset_out_of_range",
            partition=partition,
            next_offset=offset,
            log_start=log_start,
        )
        async with self._database.unit_of_work() as work:
            letter = SetAside(
                reason="offset-out-of-range",
                stage="routing",
                topic=self._topic,
                partition=partition,
                offset=offset,
            )
            await set_aside(work, [letter])
            await work.flush()
            await move_partition(work.connection, held.ownership, next_offset=log_start)
        return log_start

    async def handle(self, partition: int, records: Sequence[Record]) -> None:
        """Give records their effects, in order; return when all have had them.

        Raises:
            PartitionLostError: Somebody else owns the partition now; nothing was done.
        """
        held = self._held(partition)
        pause = _PAUSE_SECONDS
        while records:
            try:
                done = await self._some(held, records)
            except PartitionLostError:
                self._partitions.pop(partition, None)
                raise
            except Exception as error:
                if not _passes(error):
                    raise
                _RETRIES.labels(kind="transient").inc()
                log.warning("routing.waits", partition=partition, error=name_of(error), pause=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                records = records[done:]
                pause = _PAUSE_SECONDS

    def _held(self, partition: int) -> _Partition:
        held = self._partitions.get(partition)
        if held is None:
            raise PartitionLostError(f"{self._topic}/{partition}")
        return held

    async def _some(self, held: _Partition, records: Sequence[Record]) -> int:
        """Do the first of these records; return how many."""
        if held.singly > 0:
            await self._in_turn(held, read_record(records[0]))
            held.singly -= 1
            return 1
        portion = _Portion(held, records[: held.probation or BATCH_RECORDS])
        if not held.apart and not held.probation:
            await self._convoy.ride(portion)
            if portion.lost:
                raise PartitionLostError(str(held.ownership.partition))
            return portion.done
        async with self._convoy.alone():
            if held.probation:
                await self._suspect(held, records[0].offset, alone=False)
            try:
                await self._together([portion])
            except PartitionLostError:
                raise
            except Exception as error:
                if _passes(error):
                    raise
                log.warning("routing.batch_failed", error=name_of(error))
                _RETRIES.labels(kind="batch").inc()
                held.singly, held.probation = portion.size, 0
                return 0
        held.apart = False
        held.probation = max(0, held.probation - portion.done)
        return portion.done

    async def _in_turn(self, held: _Partition, item: Item) -> None:
        """Do one record, tried with no other suspect under way where it is one."""
        if held.ownership.suspect_offset != item.record.offset:
            async with self._convoy.alone():
                await self._alone(held, item)
            return
        await asyncio.sleep(self._calm_at - time.monotonic())
        async with self._trial, self._convoy.alone():
            await self._alone(held, item)

    async def _travel(self, portions: Sequence[_Portion]) -> None:
        """Do portions of several partitions; when they fail together, each is done apart next."""
        try:
            await self._together(portions)
        except Exception as error:
            if isinstance(error, _SomeLostError):
                # The others are done again without them.
                return
            if _passes(error):
                raise
            log.warning(
                "routing.shared_batch_failed",
                partitions=len(portions),
                error=name_of(error),
            )
            _RETRIES.labels(kind="shared").inc()
            for portion in portions:
                portion.held.apart = True

    async def _together(self, portions: Sequence[_Portion]) -> None:
        """Do as many records of these portions as may share a transaction."""
        for portion in portions:
            portion.items = [read_record(record) for record in portion.records]
        async with self._database.unit_of_work() as work:
            arrivals = [
                item for portion in portions for item in portion.items if isinstance(item, Arrival)
            ]
            taker = await Taker.around(work, arrivals, self._rules)
            chosen = [
                _Portion(each.held, each.records, taker.may_share(each.items)) for each in portions
            ]
            if not any(each.items for each in chosen):
                chosen[0].items = portions[0].items[:1]
            items = [item for each in chosen for item in each.items]
            await taker.prepare(items)
            for item in items:
                await taker.take(item)
            await taker.finish()
            await work.flush()
            await self._at("before_move")
            await self._move(work, portions, chosen)
            await self._at("before_commit")
        await self._at("after_commit")
        taker.count()
        for portion, part in zip(portions, chosen, strict=True):
            portion.done = len(part.items)
            # What needs a transaction of its own gets it in its next turn.
            portion.held.apart = not part.items

    async def _mark(self, marks: Sequence[_Mark]) -> None:
        """Note of many partitions in one transaction that they have caught up."""
        async with self._database.unit_of_work() as work:
            lost = await mark_caught_up(
                work.connection, [(mark.held.ownership, mark.at) for mark in marks]
            )
        for mark in marks:
            mark.lost = mark.held.ownership.partition in lost

    async def _move(
        self, work: UnitOfWork, portions: Sequence[_Portion], chosen: Sequence[_Portion]
    ) -> None:
        lost = await move_partitions(
            work.connection,
            [
                (each.held.ownership, each.items[-1].record.offset + 1)
                for each in chosen
                if each.items
            ],
        )
        if lost:
            for portion in portions:
                portion.lost = portion.held.ownership.partition in lost
            raise _SomeLostError(str(sorted(lost)))

    async def _alone(self, held: _Partition, item: Item) -> None:
        """Do one record, or set it aside when it cannot be done."""
        offset = item.record.offset
        await self._suspect(held, offset, alone=True)
        if held.tries > _DEATHS + 1:
            log.error("routing.poison", offset=offset, reason="deaths", tries=held.tries - 1)
            await self._poison(held, item, attempts=held.tries - 1)
            return
        for failure in range(1, _FAILURES + 1):
            try:
                await self._together([_Portion(held, [item.record])])
            except (PartitionLostError, asyncio.CancelledError):
                raise
            except Exception as error:
                if _passes(error):
                    raise
                _RETRIES.labels(kind="single").inc()
                log.warning("routing.record_failed", offset=offset, error=name_of(error))
                if failure == _FAILURES:
                    log.exception("routing.poison", offset=offset, reason="failures")
                    await self._poison(held, item, attempts=failure)
            else:
                return

    async def _suspect(self, held: _Partition, offset: int, *, alone: bool) -> None:
        """Note, before a record is tried, that it or what goes with it may kill the process.

        Once an owner: what an owner tries again has not killed it.
        """
        if held.suspected == offset:
            return
        async with self._database.unit_of_work() as work:
            held.tries = await suspect(work.connection, held.ownership, offset=offset, alone=alone)
        held.suspected = offset

    async def _poison(self, held: _Partition, item: Item, *, attempts: int) -> None:
        async with self._database.unit_of_work() as work:
            arrivals = [item] if isinstance(item, Arrival) else []
            taker = await Taker.around(work, arrivals, self._rules)
            taker.poison(item, attempts=attempts)
            await taker.finish()
            await work.flush()
            await move_partition(
                work.connection, held.ownership, next_offset=item.record.offset + 1
            )
        taker.count()


def _passes(error: Exception) -> bool:
    """Say whether a failure may pass by itself: connections, locks, serialisation, time-outs."""
    return isinstance(error, SeenMeanwhileError) or is_transient(error)
