"""The outbound process: looks for work, claims it, calls out, settles.

    look ──▶ lanes ──▶ claim ──▶ call ──▶ settle ──▶ lanes
    (due rows)  (plan)   (commit)  (no transaction)  (commit; lets the next of the lane go)

A *claim* commits `sending` before its call starts, under the shard's epoch and with 2 s of lease
left; the monotonic clock is looked at again just before the call. Whoever owns the shard later
finds the row in flight until `call_ends_by`, so nothing is called twice because a process stalled
or died. A *settlement* writes what came of it, if the row still stands as the claim left it. Claims
and settlements take many deliveries in one transaction each; no transaction is open while a call
runs.
"""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog

from gateway.db.deliveries import Due
from gateway.db.failures import is_transient, name_of
from gateway.db.leases import ShardLeases
from gateway.db.unit_of_work import Database
from gateway.domain.backoff import RetrySchedule
from gateway.domain.delivery import TargetKind
from gateway.meta.graph import GraphClient
from gateway.points import Point, go_on
from gateway.sender.app_register import AppRegister
from gateway.sender.attempts import Attempt, Transport, Unclaimed
from gateway.sender.board import Board
from gateway.sender.calling import Caller
from gateway.sender.claiming import Budgets, Claims, claim_batch
from gateway.sender.lanes import Lanes
from gateway.sender.lookout import SWEEP_SECONDS, Lookout, set_or_timeout
from gateway.sender.media_desk import MediaDesk
from gateway.sender.preparing import Preparing
from gateway.sender.settlement_queue import SettlementQueue
from gateway.sender.settling import Settlement

_CLAIM_BATCH: Final = 128
# While one batch waits for its commit, another is got ready.
_CLAIMS_AT_ONCE: Final = 2
# Somebody else holds the conversation for a moment.
_LOCKED_SECONDS: Final = 0.05
_FAILED_SECONDS: Final = 0.25
_POISON_SECONDS: Final = 30.0
_LEAST_WAIT: Final = 0.001

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderPlan:
    """How much a sender does at once, and how long it waits.

    Attributes:
        slots: Calls at once, of all targets together.
        concurrency: Calls at once to one target, by its kind; endpoints may have their own number.
        budgets: How long a call may last.
        endpoint_schedule: The waits between attempts at an endpoint's delivery.
        patience: How long a shard's former owner may still tell how its calls ended; longer than
            it waits between two tries to settle them.
        chance: Spreads retries.
    """

    slots: int
    concurrency: Mapping[TargetKind, int]
    budgets: Budgets
    endpoint_schedule: RetrySchedule
    patience: timedelta = timedelta(seconds=3)
    chance: random.Random = field(default_factory=random.SystemRandom)


class Sender:
    """Sends what is due in the shards that this process has."""

    def __init__(
        self,
        database: Database,
        leases: ShardLeases,
        transports: Mapping[TargetKind, Transport],
        graph: GraphClient,
        *,
        plan: SenderPlan,
        desk: MediaDesk | None = None,
        at: Point = go_on,
    ) -> None:
        """Take what it works with.

        Args:
            database: Where the deliveries are.
            leases: Those of the role `sender`.
            transports: How each kind of target is called.
            graph: Tells what became of messages of which nobody knows.
            plan: How much is done at once, and how long it waits.
            desk: Gets media ready; without, it is sent as the messages have it.
            at: Awaited at named points, for tests that stop there.
        """
        self._database = database
        self._plan = plan
        self._at = at
        lanes = Lanes(slots=plan.slots, concurrency=plan.concurrency)
        self._board = Board(lanes, leases, database.clock)
        self._settlements = SettlementQueue(
            database,
            Settlement(schedule=plan.endpoint_schedule, chance=plan.chance),
            on_settled=self._board.settled,
            at=at,
        )
        self._caller = Caller(transports, leases, at=at)
        self._lookout = Lookout(
            database, self._board, self._settlements, graph, patience=plan.patience
        )
        self._register = AppRegister(database, self._board, at=at)
        self._preparing = Preparing(desk, self._board)
        self._claims = asyncio.Semaphore(_CLAIMS_AT_ONCE)
        self._draining = False
        self._ended = False
        leases.on_gained(self._lookout.gain)
        leases.on_losing(self._lose)
        leases.on_renewed(self._register.renewed)

    def wake(self, shards: Collection[int]) -> None:
        """Look at what is due in shards soon; none means everywhere."""
        self._lookout.wake(shards)

    def wake_lanes(self, shards: Collection[int]) -> None:
        """Look at lanes in which something waits, in shards, soon; none means everywhere."""
        self._lookout.wake_lanes(shards)

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._settlements.run())
                group.create_task(self._lookout.run())
                group.create_task(self._register.run())
                group.create_task(self._claim_again_and_again(group))
        finally:
            self._ended = True

    async def drain(self, *, seconds: float) -> bool:
        """Start nothing more and wait for the calls that run; say whether all could be settled.

        What is left counts as in flight until its call must have ended, whoever has the shard.
        """
        self._draining = True
        self._caller.stop()
        self._preparing.stop()
        self._board.go.set()
        try:
            async with asyncio.timeout(seconds):
                await self._board.until_idle(None)
        except TimeoutError:
            log.warning("sender.drain_timed_out", in_flight=self._board.busy(None))
            return False
        return True

    async def _claim_again_and_again(self, group: asyncio.TaskGroup) -> None:
        board = self._board
        while not self._draining:
            await self._claims.acquire()
            mine = board.leases.mine
            now = board.clock.now()
            batch = board.lanes.take(now=now, limit=_CLAIM_BATCH, may=mine.__contains__)
            self._lookout.look_for_more()
            taken, batch = bool(batch), self._preparing.sort(batch, group)
            if batch:
                epochs = {due.shard: mine[due.shard] for due in batch}
                group.create_task(self._claim_beside_others(batch, epochs, group))
            elif taken:
                self._claims.release()
            else:
                self._claims.release()
                await set_or_timeout(board.go, self._seconds_to_next())
                board.go.clear()

    async def _claim_beside_others(
        self, batch: Sequence[Due], epochs: Mapping[int, int], group: asyncio.TaskGroup
    ) -> None:
        try:
            await self._claim(batch, epochs, group)
        finally:
            self._claims.release()

    async def _claim(
        self, batch: Sequence[Due], epochs: Mapping[int, int], group: asyncio.TaskGroup
    ) -> None:
        try:
            await self._at("before_claim")
            async with self._database.unit_of_work() as work:
                claims = await claim_batch(work, batch, epochs=epochs, budgets=self._plan.budgets)
        except Exception as error:  # noqa: BLE001 - the loop's edge
            await self._claim_failed(batch, epochs, error, group)
            return
        await self._at("after_claim")
        self._follow(claims)
        for attempt in claims.attempts:
            equipped = replace(attempt, readiness=self._preparing.equip(attempt))
            group.create_task(self._attempt(equipped))

    def _follow(self, claims: Claims) -> None:
        for due in (*claims.left, *claims.locked):
            self._board.put_back(due)
        if claims.locked:
            loop = asyncio.get_running_loop()
            loop.call_later(_LOCKED_SECONDS, self._board.offer, claims.locked)
        for stopped in claims.stopped:
            self._settlements.put(stopped)

    async def _claim_failed(
        self,
        batch: Sequence[Due],
        epochs: Mapping[int, int],
        error: Exception,
        group: asyncio.TaskGroup,
    ) -> None:
        """Undo what may have been committed; find the one that cannot be claimed."""
        if is_transient(error):
            log.warning("claim.failed", error=name_of(error), size=len(batch))
            for due in batch:
                self._settlements.put(Unclaimed(due, epochs[due.shard]))
            await asyncio.sleep(_FAILED_SECONDS)
        elif len(batch) > 1:
            for due in batch:
                await self._claim([due], epochs, group)
        else:
            (due,) = batch
            log.error("claim.impossible", delivery_id=due.id, exc_info=error)
            # Its lane stays busy meanwhile, so that it is not tried over and over.
            asyncio.get_running_loop().call_later(
                _POISON_SECONDS, self._settlements.put, Unclaimed(due, epochs[due.shard])
            )

    async def _attempt(self, attempt: Attempt) -> None:
        ended = await self._caller.call(attempt)
        self._settlements.put(await self._preparing.reconsider(ended))

    def _seconds_to_next(self) -> float:
        at = self._board.lanes.next_at()
        if at is None:
            return SWEEP_SECONDS
        wait = (at - self._board.clock.now()).total_seconds()
        return min(max(wait, _LEAST_WAIT), SWEEP_SECONDS)

    async def _lose(self, shards: frozenset[int]) -> None:
        self._board.lanes.forget(shards)
        # What was in flight at the end stays so until its call must have ended, whoever is next.
        if not self._ended:
            await self._board.until_idle(shards)
