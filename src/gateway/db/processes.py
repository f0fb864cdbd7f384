"""The heart-beat of a process: it is alive, its clock is right, and it follows the product's clock.

Every process keeps a row in table `processes`, renewed each 2 s by the database's true time. The
same statement tells that time, by which the process corrects its own, and where the product's clock
stands, which only `gateway dev` ever moves. So a machine whose clock is wrong does its work by the
right time; that it is not ready tells operators that its clock wants mending.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.clock import TRUE_TIME, SystemClock, TrueTime, machine_now
from gateway.db.failures import name_of
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups

BEAT_SECONDS: Final = 2.0
# A process that was not seen for so long is gone.
LIVE_SECONDS: Final = 8.0
MAX_SKEW: Final = timedelta(seconds=2)

_STATEMENT_SECONDS: Final = 3.0
_RETRY_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.02
_TOPIC: Final = "clock"

log = structlog.get_logger()

_BEAT: Final = text(
    """
    INSERT INTO processes AS p (id, role, started_at, seen_at, clock_version)
    VALUES (:id, :role, clock_timestamp(), clock_timestamp(), :clock_version)
    ON CONFLICT (id) DO UPDATE
    SET seen_at = EXCLUDED.seen_at, clock_version = EXCLUDED.clock_version
    RETURNING clock_timestamp() AS true_time,
              (SELECT c.offset_seconds FROM product_clock c) AS offset_seconds,
              (SELECT c.version FROM product_clock c) AS clock_version
    """
)
_LEAVE: Final = text("DELETE FROM processes WHERE id = :id")
_ADVANCE: Final = text(
    "UPDATE product_clock SET offset_seconds = offset_seconds + :seconds, version = version + 1"
    " RETURNING version"
)
_BEHIND: Final = text(
    "SELECT count(*) FROM processes WHERE clock_version < :version"
    " AND seen_at > clock_timestamp() - make_interval(secs => :live_seconds)"
)


@dataclass(frozen=True, slots=True)
class _Answer:
    offset: timedelta
    clock_version: int
    # How far this machine's clock is certainly off, whatever part of the round trip it took.
    skew: timedelta


class Process:
    """This process's row in table `processes`."""

    def __init__(
        self,
        database: Database,
        *,
        process_id: str,
        role: str,
        clock: SystemClock | None = None,
        wakeups: Wakeups | None = None,
        machine_time: Callable[[], datetime] = machine_now,
        true_time: TrueTime = TRUE_TIME,
    ) -> None:
        """Describe the process; `join` enters it.

        Args:
            database: Best one with a small pool of its own, so that no load delays a beat.
            process_id: Unique to this start of this process.
            role: `api`, `routing` or `sender`.
            clock: Follows the product's clock when that is moved; None where it never is.
            wakeups: Brings moves of the clock at once; not yet running.
            machine_time: The machine's clock, which is compared with the database's.
            true_time: What this process goes by, set right by the database's.
        """
        self._database = database
        self._id = process_id
        self._role = role
        self._clock = clock
        self._machine_time = machine_time
        self._true_time = true_time
        self._clock_version = 0
        self._skew = timedelta()
        self._beaten_at: float | None = None
        self._nudged = asyncio.Event()
        if wakeups is not None and clock is not None:
            wakeups.listen(_TOPIC, lambda _shards: self._nudged.set())

    @property
    def skew(self) -> timedelta:
        """How far this machine's clock is ahead of the database's, as last measured."""
        return self._skew

    @property
    def clock_is_right(self) -> bool:
        """Whether the clock was compared with the database's, and is less than 2 s off."""
        return self._beaten_at is not None and abs(self._skew) <= MAX_SKEW

    @property
    def database_is_there(self) -> bool:
        """Whether a heart-beat got through lately."""
        return self._beaten_at is not None and time.monotonic() - self._beaten_at < LIVE_SECONDS

    async def join(self) -> None:
        """Enter the process and take over the product's clock; nothing else should start before.

        Raises:
            SQLAlchemyError, OSError, TimeoutError: The database is not there.
        """
        await self._beat()

    async def run(self) -> None:
        """Beat until cancelled; databases that go away come back."""
        while True:
            wait = BEAT_SECONDS
            try:
                await self._beat()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("process.heart_beat_failed", error=name_of(error))
                wait = _RETRY_SECONDS
            await self._pause(wait)

    async def leave(self) -> None:
        """Take the process out, so that others take its shards; `run` has ended before."""
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._database.engine.begin() as conn:
                await conn.execute(_LEAVE, {"id": self._id})
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("process.not_taken_out", error=name_of(error))

    async def _beat(self) -> None:
        answer = await self._ask()
        self._beaten_at = time.monotonic()
        self._notice_skew(answer.skew)
        if self._clock is not None and answer.clock_version != self._clock_version:
            self._clock.offset = answer.offset
            self._clock_version = answer.clock_version
            # Whoever moved the clock waits for this.
            await self._ask()
            log.info("clock.moved", offset_seconds=answer.offset.total_seconds())

    async def _ask(self) -> _Answer:
        parameters = {"id": self._id, "role": self._role, "clock_version": self._clock_version}
        async with asyncio.timeout(_STATEMENT_SECONDS), self._database.engine.begin() as connection:
            before, true_before = self._machine_time(), self._true_time.now()
            row = (await connection.execute(_BEAT, parameters)).one()
            after, true_after = self._machine_time(), self._true_time.now()
        self._true_time.correct(-certain_skew(true_before, row.true_time, true_after))
        return _Answer(
            offset=timedelta(seconds=row.offset_seconds),
            clock_version=row.clock_version,
            skew=certain_skew(before, row.true_time, after),
        )

    def _notice_skew(self, skew: timedelta) -> None:
        if abs(skew) > MAX_SKEW:
            log.error("clock.skewed", seconds=skew.total_seconds())
        self._skew = skew

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass
        self._nudged.clear()


def certain_skew(before: datetime, there: datetime, after: datetime) -> timedelta:
    """Return how far ahead we are: nothing where the other time lies within the round trip."""
    if there < before:
        return before - there
    if there > after:
        return after - there
    return timedelta()


async def advance_clock(
    database: Database, seconds: float, *, patience_seconds: float = 12.0
) -> None:
    """Move the product's clock forward; return when every live process has taken the move over.

    For `gateway dev` alone. Processes that do not follow the clock (CLOCK_MOVABLE unset) are
    waited for in vain.

    Raises:
        TimeoutError: Some process has not confirmed within `patience_seconds`; the clock has moved
            all the same.
    """
    async with database.unit_of_work() as work:
        version = (await work.connection.execute(_ADVANCE, {"seconds": seconds})).scalar_one()
        work.wake(_TOPIC, [0])
    parameters = {"version": version, "live_seconds": LIVE_SECONDS}
    async with asyncio.timeout(patience_seconds):
        while True:
            async with database.engine.connect() as connection:
                behind = (await connection.execute(_BEHIND, parameters)).scalar_one()
            if behind == 0:
                return
            await asyncio.sleep(_POLL_SECONDS)
