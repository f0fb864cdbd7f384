"""Leases on shards: each of 256 parts of a role's work is done by one process at a time.

A lease lasts 8 s by the database's true time and is renewed every 2 s, all of a process in one
statement. Each takeover raises the shard's epoch, which fences whoever held it before. Shards are
spread over the live processes by rendezvous hashing, so that a process that comes or goes moves
only its own share.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.db.failures import name_of
from gateway.db.processes import LIVE_SECONDS
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups, notify
from gateway.domain.shards import SHARDS

LEASE_SECONDS: Final = 8.0
RENEW_SECONDS: Final = 2.0
# Work may start only while so much of the lease is left.
SAFETY_SECONDS: Final = 2.0
DRAIN_SECONDS: Final = 8.0

_STATEMENT_SECONDS: Final = 3.0
# After a failure the next try comes sooner: the lease runs on.
_RETRY_SECONDS: Final = 0.5
_TOPIC: Final = "shards"
_NONE: Final[Mapping[int, int]] = MappingProxyType({})

Gained = Callable[[Mapping[int, int]], None]
Losing = Callable[[frozenset[int]], Awaitable[None]]

log = structlog.get_logger()

# Rows are locked in the order of shards, so that two processes that both think a shard theirs
# queue up and do not deadlock. The lease is counted from `instant`, which is later than the
# monotonic time that `safe` counts from.
_RENEW: Final = text(
    """
    WITH instant AS MATERIALIZED (SELECT clock_timestamp() AS at),
    live AS (
      SELECT p.id FROM processes p, instant
      WHERE p.role = :process_role AND p.seen_at > instant.at - make_interval(secs => :live_seconds)
      UNION SELECT :process_id
    ),
    wanted AS (
      SELECT DISTINCT ON (n) n AS shard, live.id AS owner
      FROM generate_series(0, :last_shard) AS n, live
      ORDER BY n, hashtextextended(live.id, n) DESC, live.id
    ),
    locked AS MATERIALIZED (
      SELECT s.shard, s.owner, s.epoch, s.expires_at, w.owner = :process_id AS wanted
      FROM shards s JOIN wanted w ON w.shard = s.shard
      WHERE s.role = :role AND (
        s.owner = :process_id
        OR (w.owner = :process_id
            AND (s.owner IS NULL OR s.expires_at <= (SELECT at FROM instant))))
      ORDER BY s.shard
      FOR UPDATE OF s
    )
    UPDATE shards s
    SET owner = CASE WHEN l.shard = ANY(:released) THEN NULL ELSE :process_id END,
        expires_at = CASE WHEN l.shard = ANY(:released) THEN NULL
                          ELSE clock_timestamp() + make_interval(secs => :lease_seconds) END,
        epoch = CASE WHEN l.owner = :process_id THEN l.epoch ELSE l.epoch + 1 END
    FROM locked l
    WHERE s.role = :role AND s.shard = l.shard
    RETURNING s.shard, s.epoch, s.owner IS NOT NULL AS held, l.wanted
    """
)

_RELEASE_ALL: Final = text(
    "UPDATE shards SET owner = NULL, expires_at = NULL WHERE role = :role AND owner = :process_id"
)


@dataclass(frozen=True, slots=True)
class _Renewal:
    epochs: dict[int, int]
    unwanted: frozenset[int]


class ShardLeases:
    """The shards of one role that this process owns.

    A process that falls silent owns nothing from the moment at which its leases are no longer
    safe, and whoever takes a shard over gets a higher epoch. A lease that lapsed and that nobody
    took meanwhile comes back with the same epoch.
    """

    def __init__(
        self,
        role: str,
        database: Database,
        *,
        process_id: str,
        process_role: str,
        wakeups: Wakeups | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the leases; `run` takes them.

        Args:
            role: `sender`, `relay` or `timers`.
            database: Best one with a small pool of its own, so that no load delays a renewal.
            process_id: Unique to this start of this process.
            process_role: The processes with this role in table `processes` share the shards.
            wakeups: By which others are told of shards given back, and this is told of theirs;
                not yet running.
            monotonic: The machine's seconds, which no clock moves.
        """
        self.role = role
        self._database = database
        self._process_id = process_id
        self._process_role = process_role
        self._wakeups = wakeups
        self._monotonic = monotonic
        self._gained: list[Gained] = []
        self._losing: list[Losing] = []
        self._renewed: list[Callable[[], None]] = []
        self._mine: dict[int, int] = {}
        self._draining: set[int] = set()
        self._drained: set[int] = set()
        self._safe_until = 0.0
        self._nudged = asyncio.Event()
        if wakeups is not None:
            wakeups.listen(_TOPIC, lambda _shards: self._nudged.set())

    @property
    def process_id(self) -> str:
        """Whose leases these are."""
        return self._process_id

    @property
    def mine(self) -> Mapping[int, int]:
        """The epoch of each shard on which work may start now; empty once leases are unsafe."""
        return MappingProxyType(self._mine) if self._monotonic() < self._safe_until else _NONE

    def safe(self, shard: int) -> bool:
        """Say whether work on a shard may start: it is mine and 2 s of its lease are left."""
        return shard in self._mine and self._monotonic() < self._safe_until

    def on_gained(self, callback: Gained) -> None:
        """Call back with the epochs of shards that became mine; register before `run`."""
        self._gained.append(callback)

    def on_losing(self, callback: Losing) -> None:
        """Await a callback for shards that are no longer mine; register before `run`.

        No work may start on them any more. A shard that is given back waits up to 8 s until the
        callback has returned; one that was lost does not wait.
        """
        self._losing.append(callback)

    def on_renewed(self, callback: Callable[[], None]) -> None:
        """Call back after each renewal, which must not wait; register before `run`."""
        self._renewed.append(callback)

    async def run(self) -> None:
        """Renew, take and give back until cancelled; databases that go away come back."""
        async with asyncio.TaskGroup() as group:
            while True:
                wait = RENEW_SECONDS
                try:
                    await self._renew(group)
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("leases.not_renewed", role=self.role, error=name_of(error))
                    self._notice_lapse(group)
                    wait = _RETRY_SECONDS
                await self._pause(wait)

    async def release_all(self, *, seconds: float = DRAIN_SECONDS) -> None:
        """Let work end (so many seconds at most) and give every shard back; `run` has ended before.

        Others are told as the shards are given back, whatever else of the process has ended. It
        should have left table `processes` already, so that others take the shards.
        """
        shards = frozenset(self._mine) | frozenset(self._draining)
        self._mine = {}
        await self._let_work_end(shards, seconds)
        try:
            async with asyncio.timeout(_STATEMENT_SECONDS), self._database.engine.begin() as conn:
                await conn.execute(
                    _RELEASE_ALL, {"role": self.role, "process_id": self._process_id}
                )
                if shards and self._wakeups is not None:
                    await notify(conn, _TOPIC, shards)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("leases.not_released", role=self.role, error=name_of(error))

    async def _renew(self, group: asyncio.TaskGroup) -> None:
        released = frozenset(self._drained)
        # Before the statement leaves: the lease that it gets ends later than we count.
        sent_at = self._monotonic()
        renewal = await self._execute(released)
        self._safe_until = sent_at + LEASE_SECONDS - SAFETY_SECONDS
        self._drained -= released
        self._draining -= released
        if released and self._wakeups is not None:
            self._wakeups.wake(_TOPIC, released)
        self._apply(renewal, group)
        for callback in self._renewed:
            callback()

    async def _execute(self, released: Collection[int]) -> _Renewal:
        parameters = {
            "role": self.role,
            "process_role": self._process_role,
            "process_id": self._process_id,
            "live_seconds": LIVE_SECONDS,
            "lease_seconds": LEASE_SECONDS,
            "last_shard": SHARDS - 1,
            "released": list(released),
        }
        async with asyncio.timeout(_STATEMENT_SECONDS), self._database.engine.begin() as connection:
            rows = (await connection.execute(_RENEW, parameters)).all()
        return _Renewal(
            epochs={row.shard: row.epoch for row in rows if row.held},
            unwanted=frozenset(row.shard for row in rows if row.held and not row.wanted),
        )

    def _apply(self, renewal: _Renewal, group: asyncio.TaskGroup) -> None:
        lost = frozenset(
            shard for shard, epoch in self._mine.items() if renewal.epochs.get(shard) != epoch
        )
        unwanted = renewal.unwanted & self._mine.keys()
        self._draining &= renewal.epochs.keys()
        before = self._mine
        self._mine = {
            shard: epoch
            for shard, epoch in renewal.epochs.items()
            if shard not in unwanted and shard not in self._draining
        }
        if lost:
            log.warning("leases.lost", role=self.role, shards=len(lost))
            group.create_task(self._let_work_end(lost))
        if unwanted:
            self._draining |= unwanted
            group.create_task(self._drain(unwanted))
        gained = {
            shard: epoch
            for shard, epoch in self._mine.items()
            if shard not in before or shard in lost
        }
        if gained:
            log.info("leases.gained", role=self.role, shards=len(gained), mine=len(self._mine))
            for callback in self._gained:
                callback(gained)

    def _notice_lapse(self, group: asyncio.TaskGroup) -> None:
        if self._mine and self._monotonic() >= self._safe_until:
            lost = frozenset(self._mine)
            self._mine = {}
            log.warning("leases.lapsed", role=self.role, shards=len(lost))
            group.create_task(self._let_work_end(lost))

    async def _drain(self, shards: frozenset[int]) -> None:
        await self._let_work_end(shards)
        # What was lost meanwhile is not ours to give back; it may even be ours again.
        self._drained |= shards & self._draining
        self._nudged.set()

    async def _let_work_end(self, shards: frozenset[int], seconds: float = DRAIN_SECONDS) -> None:
        if not shards:
            return
        try:
            async with asyncio.timeout(seconds):
                for callback in self._losing:
                    await callback(shards)
        except TimeoutError:
            log.warning("leases.drain_timed_out", role=self.role, shards=len(shards))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass
        self._nudged.clear()
