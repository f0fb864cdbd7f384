"""Errands: what calls out and is no delivery, such as fetching a contact's picture.

    look and claim ──▶ run the duty ──▶ settle
       (commit)      (no transaction)   (commit: its effect, and the errand's row)

What is done stands in `gateway.sender.duties`. An attempt gets a deadline, and its errand's row is
held until then, whoever has the shard: a process that dies leaves the errand to be run again, and
two never run it at once. What it brought is written in one transaction with the row as the claim
left it; if the errand was set anew or claimed again meanwhile, nothing is written. A duty has to be
one that may be done twice: the outside may have seen an attempt of which nothing was written.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.db.errands import (
    Errand,
    Room,
    claim_errands,
    let_go_errands,
    put_off_errand,
    take_errand,
)
from gateway.db.failures import is_transient, name_of
from gateway.db.leases import ShardLeases
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.points import Point, go_on
from gateway.sender.duties import Again, Done, Duty, GoOn, Impossible, Result
from gateway.sender.lookout import SWEEP_SECONDS, set_or_timeout
from gateway.sender.metrics import ERRAND_LATENESS, ERRANDS, ERRANDS_RUNNING

# The row is held for so much longer than the attempt lasts: for its settlement.
_MARGIN_SECONDS: Final = 5.0
_SETTLE_AGAIN_SECONDS: Final = 0.25
_GIVE_BACK_SECONDS: Final = 0.5
_TIMED_OUT: Final = "timed-out"
_INTERNAL: Final = "internal-error"

log = structlog.get_logger()


class _SupersededError(Exception):
    """The errand is no longer as the claim left it: what was written is rolled back."""


@dataclass(slots=True)
class _Running:
    errands: dict[str, Errand] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)


class Errands:
    """Runs the errands of the shards that this process has."""

    def __init__(
        self,
        database: Database,
        leases: ShardLeases,
        duties: Mapping[str, Duty],
        *,
        chance: random.Random | None = None,
        at: Point = go_on,
    ) -> None:
        """Take what it works with.

        Args:
            database: Where errands are, and whose clock says what is due.
            leases: Those of the role `sender`.
            duties: What each kind does; other kinds are left to others.
            chance: Spreads retries.
            at: Awaited at named points, for tests that stop there.
        """
        self._database = database
        self._leases = leases
        self._duties = duties
        self._chance = chance or random.SystemRandom()
        self._at = at
        self._running = _Running()
        self._woken: set[int] = set()
        self._everywhere = True
        self._look = asyncio.Event()
        self._draining = False

    def wake(self, shards: Collection[int]) -> None:
        """Look at shards soon; none means everywhere."""
        self._woken.update(shards)
        self._everywhere = self._everywhere or not shards
        self._look.set()

    async def run(self) -> None:
        """Run errands until cancelled; a database that goes away comes back."""
        async with asyncio.TaskGroup() as group:
            swept_at = 0.0
            while True:
                if time.monotonic() - swept_at >= SWEEP_SECONDS or self._everywhere:
                    swept_at, self._everywhere = time.monotonic(), True
                try:
                    await self._start_due(group)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    log.warning("errands.not_claimed", error=name_of(error))
                    self._everywhere = True
                    await asyncio.sleep(_SETTLE_AGAIN_SECONDS)
                await set_or_timeout(self._look, SWEEP_SECONDS)
                self._look.clear()

    async def drain(self, *, seconds: float) -> bool:
        """Start nothing more and wait for what runs; say whether all of it ended by itself.

        What is left is cancelled and given back, so that another process may begin it anew.
        """
        self._draining = True
        running = self._running
        if running.tasks:
            await asyncio.wait(running.tasks, timeout=max(seconds - 2 * _GIVE_BACK_SECONDS, 0))
        left = list(running.errands.values())
        if not left:
            return True
        for task in list(running.tasks):
            task.cancel()
        await asyncio.wait(running.tasks, timeout=_GIVE_BACK_SECONDS / 2)
        await self._give_back(left)
        return False

    async def _start_due(self, group: asyncio.TaskGroup) -> None:
        rooms = self._rooms()
        mine = self._leases.mine
        epochs = {
            shard: epoch
            for shard, epoch in mine.items()
            if self._everywhere or shard in self._woken
        }
        if self._draining or not rooms or not epochs:
            return
        self._everywhere, self._woken = False, set()
        claimed_at = time.monotonic()
        async with self._database.unit_of_work() as work:
            errands = await claim_errands(work.connection, epochs=epochs, rooms=rooms, now=work.now)
        for errand in errands:
            self._start(errand, group, claimed_at)
        found = Counter(errand.kind for errand in errands)
        # There may be more: looked for when there is room again, which there may be already.
        full = {kind for kind, room in rooms.items() if found[kind] >= room.errands}
        self._everywhere = self._everywhere or bool(full)
        if full & self._rooms().keys():
            self._look.set()

    def _rooms(self) -> dict[str, Room]:
        """Return how many may start, of the kinds of which any may."""
        free = {
            kind: duty.at_once - self._running.kinds[kind] for kind, duty in self._duties.items()
        }
        return {
            kind: Room(room, self._duties[kind].seconds + _MARGIN_SECONDS)
            for kind, room in free.items()
            if room > 0
        }

    def _start(self, errand: Errand, group: asyncio.TaskGroup, claimed_at: float) -> None:
        running = self._running
        running.errands[errand.id] = errand
        running.kinds[errand.kind] += 1
        ERRANDS_RUNNING.inc()
        late = self._database.clock.now() - errand.due_at
        ERRAND_LATENESS.labels(errand.kind).observe(max(late.total_seconds(), 0))
        task = group.create_task(self._do(errand, claimed_at))
        running.tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            running.tasks.discard(done)
            running.errands.pop(errand.id, None)
            running.kinds[errand.kind] -= 1
            ERRANDS_RUNNING.dec()
            if self._everywhere:
                self._look.set()

        task.add_done_callback(ended)

    async def _do(self, errand: Errand, claimed_at: float) -> None:
        duty = self._duties[errand.kind]
        ends_by = claimed_at + duty.seconds
        await self._at("before_errand")
        if not self._leases.safe(errand.shard) or time.monotonic() >= ends_by:
            await self._give_back([errand])
            return
        result = await self._attempt(duty, errand, ends_by)
        await self._at("after_errand")
        await self._settle_somehow(duty, errand, result, until=ends_by + _MARGIN_SECONDS)

    async def _attempt(self, duty: Duty, errand: Errand, ends_by: float) -> Result:
        deadline = asyncio.timeout(ends_by - time.monotonic())
        try:
            async with deadline:
                return await duty.run(errand)
        except Exception as error:  # noqa: BLE001 - whatever one errand does, the others go on
            if deadline.expired():
                return Again(_TIMED_OUT)
            return _failed(errand, error)

    async def _settle_somehow(
        self, duty: Duty, errand: Errand, result: Result, *, until: float
    ) -> None:
        """Settle, again and again while the database is away and the row is held.

        What cannot be settled by then is run again by whoever finds it.
        """
        while True:
            try:
                outcome = await self._settle(duty, errand, result)
            except Exception as error:  # noqa: BLE001 - whatever one errand does, the others go on
                failed = _failed(errand, error)
                if failed.counts and isinstance(result, Again):
                    # Not even to be put off: left to the next one who finds it.
                    return
                # An effect that cannot be written is an attempt that did not work.
                result = failed if failed.counts else result
                if time.monotonic() >= until:
                    return
                await asyncio.sleep(_SETTLE_AGAIN_SECONDS)
            else:
                ERRANDS.labels(errand.kind, outcome).inc()
                log.info(
                    "errand.settled",
                    kind=errand.kind,
                    errand_id=errand.id,
                    account_id=errand.account_id,
                    subject_id=errand.subject_id,
                    attempt=errand.attempt,
                    outcome=outcome,
                    reason=getattr(result, "reason", None),
                )
                return

    async def _settle(self, duty: Duty, errand: Errand, result: Result) -> str:
        """Write what came of an attempt, and return the word that it is counted by."""
        try:
            async with self._database.unit_of_work() as work:
                return await self._write(work, duty, errand, result)
        except _SupersededError:
            await self._give_back([errand])
            return "superseded"

    async def _write(self, work: UnitOfWork, duty: Duty, errand: Errand, result: Result) -> str:
        # Flushed first: events that follow may lock their account, and whoever decides for an
        # account offers errands while the account is locked.
        match result:
            case Done(effect):
                await effect(work)
                await work.flush()
                _insist(await take_errand(work, errand))
                return "done"
            case GoOn(due_at=due_at, data=data, effect=effect):
                await effect(work)
                await work.flush()
                _insist(await put_off_errand(work, errand, until=due_at, data=data, attempt=0))
                return "step"
            case Again() if await self._put_off(work, duty, errand, result):
                return "again"
            case Again(reason) | Impossible(reason):
                await duty.given_up(work, errand, reason)
                await work.flush()
                _insist(await take_errand(work, errand))
                return "given_up"

    async def _put_off(self, work: UnitOfWork, duty: Duty, errand: Errand, again: Again) -> bool:
        """Let an errand be due again by its schedule; False when that has no more waits."""
        tried = errand.attempt if again.counts else errand.attempt - 1
        wait = duty.schedule.wait_after(max(tried, 1), retry_after=again.after, chance=self._chance)
        if wait is None:
            return False
        until = work.now + wait
        _insist(await put_off_errand(work, errand, until=until, data=errand.data, attempt=tried))
        return True

    async def _give_back(self, errands: Sequence[Errand]) -> None:
        """Let errands be claimed again at once; if that fails, once their time is over."""
        try:
            async with (
                asyncio.timeout(_GIVE_BACK_SECONDS),
                self._database.unit_of_work() as work,
            ):
                await let_go_errands(work, errands)
        except Exception as error:  # noqa: BLE001 - it is only about when they are run again
            log.warning("errands.not_given_back", error=name_of(error))


def _insist(stands: bool) -> None:  # noqa: FBT001 - what the settling statements return
    if not stands:
        raise _SupersededError


def _failed(errand: Errand, error: Exception) -> Again:
    """Return what an exception means; the database's passing failures do not count as tries."""
    transient = is_transient(error)
    log.warning(
        "errand.failed",
        kind=errand.kind,
        errand_id=errand.id,
        error=name_of(error),
        exc_info=None if transient else error,
    )
    return Again(_INTERNAL, counts=not transient)
