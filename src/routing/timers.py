"""Fires due timers, each once; those that are due at the same time together.

Processes share the timers by shards, so that they do not do the same work twice; what makes a timer
fire once is its row, which the transaction of its effect deletes under the conversation's lock. A
process that was held up between reading a row and acting on it therefore does nothing.

Timers that fail together fire again alone. One that fails alone is put off; after five failures
that do not pass by themselves it becomes a dead letter. Meanwhile all others go on.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog
from prometheus_client import Counter, Histogram

from gateway.contracts.moments import rfc3339
from gateway.db.dead_letters import SetAside, set_aside
from gateway.db.failures import is_transient, name_of
from gateway.db.timers import Timer, find_due, put_off, take_timer
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from routing.due import HANDLERS, ForLatest, Handler, fire_together

SWEEP_SECONDS: Final = 1.0
# Many that are due one shortly after the other are found by one look, and share transactions.
_BETWEEN_LOOKS: Final = 0.05
_CONCURRENCY: Final = 4
# Each of another conversation.
_TOGETHER: Final = 50
# So many rows are read at once; more are read when half of them are done.
_READ_AHEAD: Final = 256
_FAILURES: Final = 5
_FAILURES_FIELD: Final = "failures"
_FIRST_WAIT: Final = timedelta(seconds=1)
_AWAY_SECONDS: Final = 1.0

_FIRED = Counter("gateway_timers_fired_total", "Timers that fired, by kind.", ["kind"])
_FAILED = Counter("gateway_timers_failed_total", "Timers that failed, by kind.", ["kind"])
_LATENESS = Histogram(
    "gateway_timer_lateness_seconds",
    "How long after its moment a timer's effect was committed.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300),
)

log = structlog.get_logger()

Point = Callable[[str, Timer], Awaitable[None]]


class Shards(Protocol):
    """Which shards this process may work on."""

    @property
    def mine(self) -> Collection[int]:
        """The shards on which work may start now."""
        ...

    def safe(self, shard: int) -> bool:
        """Say whether work on a shard may still start."""
        ...


async def _nothing(_point: str, _timer: Timer) -> None:
    return None


class TimerWorker:
    """Fires the timers of the shards that this process owns."""

    def __init__(
        self,
        database: Database,
        leases: Shards,
        wakeups: Wakeups,
        *,
        handlers: Mapping[str, Handler] | None = None,
        concurrency: int = _CONCURRENCY,
        at: Point = _nothing,
    ) -> None:
        """Describe the worker; `run` starts it.

        Args:
            database: Where timers are, and whose clock says what is due.
            leases: The shards of the role `timers`.
            wakeups: Tells of timers that were set to be due at once; not yet running.
            handlers: What each kind of timer does; other kinds are left to others.
            concurrency: How many transactions run at a time.
            at: Awaited at named points, for tests that stop there.
        """
        self._database = database
        self._leases = leases
        self._handlers = HANDLERS if handlers is None else handlers
        self._concurrency = concurrency
        self._at = at
        self._queue: asyncio.Queue[list[Timer]] = asyncio.Queue()
        self._taken: set[str] = set()
        self._more = False
        self._look = asyncio.Event()
        wakeups.listen("timers", lambda _shards: self._look.set())

    async def run(self) -> None:
        """Fire timers until cancelled; a database that goes away comes back."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())
            while True:
                wait = SWEEP_SECONDS
                self._look.clear()
                try:
                    wait = await self._read()
                except Exception as error:
                    if not is_transient(error):
                        raise
                    log.warning("timers.not_read", error=name_of(error))
                await asyncio.sleep(_BETWEEN_LOOKS)
                await self._pause(wait - _BETWEEN_LOOKS)

    async def run_due(self) -> int:
        """Fire what is due now, and what becomes due by that; return how many rows were tried."""
        tried = 0
        while True:
            await self._read()
            if self._queue.empty():
                return tried
            while not self._queue.empty():
                timers = self._queue.get_nowait()
                tried += len(timers)
                await self._fire_some(timers)

    async def _read(self) -> float:
        """Queue due timers and return how many seconds from now the next look is worth while."""
        now = self._database.clock.now()
        room = _READ_AHEAD - len(self._taken)
        if room <= 0:
            return SWEEP_SECONDS
        async with self._database.unit_of_work() as work:
            rows = await find_due(
                work.connection,
                shards=self._leases.mine,
                kinds=self._handlers,
                until=now + timedelta(seconds=SWEEP_SECONDS),
                besides=self._taken,
                limit=room,
            )
        self._more = len(rows) == room
        due = [timer for timer in rows if timer.due_at <= now]
        self._taken |= {timer.id for timer in due}
        for batch in self._batches(due):
            self._queue.put_nowait(batch)
        later = [(timer.due_at - now).total_seconds() for timer in rows if timer.due_at > now]
        return min([SWEEP_SECONDS, *later])

    def _batches(self, timers: Iterable[Timer]) -> Iterator[list[Timer]]:
        """Part timers in those that fire together, those of an account beside one another.

        Of one conversation, what comes first is in an earlier batch.
        """
        batch: list[Timer] = []
        conversations: set[str | None] = set()
        # The sort keeps the order of an account's timers.
        for timer in sorted(timers, key=lambda timer: timer.account_id):
            if not isinstance(self._handlers[timer.kind], ForLatest):
                yield [timer]
                continue
            if len(batch) >= _TOGETHER or timer.conversation_id in conversations:
                yield batch
                batch, conversations = [], set()
            batch.append(timer)
            conversations.add(timer.conversation_id)
        if batch:
            yield batch

    async def _work(self) -> None:
        while True:
            await self._fire_some(await self._queue.get())

    async def _fire_some(self, timers: Sequence[Timer]) -> None:
        try:
            safe = [timer for timer in timers if self._leases.safe(timer.shard)]
            if not (len(safe) > 1 and await self._fire_together(safe)):
                for timer in safe:
                    await self._fire(timer)
        finally:
            self._taken -= {timer.id for timer in timers}
            if self._more and len(self._taken) < _READ_AHEAD // 2:
                self._look.set()

    async def _fire_together(self, timers: Sequence[Timer]) -> bool:
        """Fire timers in one transaction; False: they failed, and nothing has happened."""
        due = [
            (timer, handler)
            for timer in timers
            if isinstance(handler := self._handlers[timer.kind], ForLatest)
        ]
        try:
            for timer, _ in due:
                await self._at("read", timer)
            async with self._database.unit_of_work() as work:
                await fire_together(work, due)
                await work.flush()
                for timer, _ in due:
                    await self._at("before_commit", timer)
        except Exception as error:  # noqa: BLE001 - alone, they show which of them it was
            log.warning("timers.failed_together", timers=len(due), error=name_of(error))
            return False
        for timer, _ in due:
            self._count(timer)
        return True

    async def _fire(self, timer: Timer) -> None:
        try:
            await self._at("read", timer)
            async with self._database.unit_of_work() as work:
                await self._handlers[timer.kind](work, timer)
                await work.flush()
                await self._at("before_commit", timer)
        except Exception as error:  # noqa: BLE001 - whatever one timer does, the others go on
            _FAILED.labels(kind=timer.kind).inc()
            await self._failed(timer, error)
        else:
            self._count(timer)

    def _count(self, timer: Timer) -> None:
        _FIRED.labels(kind=timer.kind).inc()
        late = self._database.clock.now() - timer.due_at
        _LATENESS.observe(max(0.0, late.total_seconds()))

    async def _failed(self, timer: Timer, error: Exception) -> None:
        transient = is_transient(error)
        failures = timer.data.get(_FAILURES_FIELD, 0) + (0 if transient else 1)
        log.warning(
            "timer.failed",
            kind=timer.kind,
            timer_id=timer.id,
            conversation_id=timer.conversation_id,
            failures=failures,
            error=name_of(error),
            exc_info=None if transient else error,
        )
        try:
            async with self._database.unit_of_work() as work:
                if failures < _FAILURES:
                    data = timer.data | {_FAILURES_FIELD: failures}
                    wait = _FIRST_WAIT * 2 ** max(0, failures - 1)
                    await put_off(work, timer, until=work.now + wait, data=data)
                elif await take_timer(work, timer):
                    await set_aside(work, [_letter(timer, failures)])
        except Exception as again:  # noqa: BLE001 - nor does one that cannot even be put off
            # The row is still due: a later sweep finds it, when the database is back.
            log.warning("timer.not_put_off", timer_id=timer.id, error=name_of(again))
            await asyncio.sleep(_AWAY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._look.wait()
        except TimeoutError:
            pass


def _letter(timer: Timer, failures: int) -> SetAside:
    record = {
        "kind": timer.kind,
        "subject_id": timer.subject_id,
        "conversation_id": timer.conversation_id,
        "due_at": rfc3339(timer.due_at),
        "data": timer.data,
    }
    return SetAside(
        reason="timer-failed",
        stage="routing",
        account_id=timer.account_id,
        attempts=failures,
        key=(timer.conversation_id or timer.subject_id).encode(),
        value=json.dumps(record).encode(),
    )
