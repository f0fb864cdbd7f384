"""Calls that have ended, on their way into the database: many at a time, none ever lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError

from gateway.db.failures import is_transient, name_of
from gateway.db.unit_of_work import Database
from gateway.domain.delivery import Accepted
from gateway.points import Point
from gateway.sender.attempts import Ended, Result
from gateway.sender.settling import Settled, Settlement

_BATCH: Final = 128
# While one batch waits for its commit, another is got ready.
_MESSAGES_AT_ONCE: Final = 2
# Somebody else holds the conversation: the next batch is soon enough.
_LOCKED_SECONDS: Final = 0.02
_LONGEST_PAUSE: Final = 1.0

log = structlog.get_logger()


class SettlementQueue:
    """Settles what is put into it.

    Messages to people and everything else go separate ways, so that a conversation's lock holds up
    no endpoint. A database that is away holds settlement up and loses nothing: what nobody settles
    counts as in flight until its call must have ended.
    """

    def __init__(
        self,
        database: Database,
        settlement: Settlement,
        *,
        on_settled: Callable[[Settled], None],
        at: Point,
    ) -> None:
        self._database = database
        self._settlement = settlement
        self._on_settled = on_settled
        self._at = at
        self._messages: asyncio.Queue[Result] = asyncio.Queue()
        self._others: asyncio.Queue[Result] = asyncio.Queue()

    def __len__(self) -> int:
        return self._messages.qsize() + self._others.qsize()

    def put(self, result: Result) -> None:
        """Take something to settle."""
        queue = self._others if result.conversation_id is None else self._messages
        queue.put_nowait(result)

    async def run(self) -> None:
        """Settle until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_MESSAGES_AT_ONCE):
                group.create_task(self._settle_all(self._messages))
            group.create_task(self._settle_all(self._others))

    async def _settle_all(self, queue: asyncio.Queue[Result]) -> None:
        while True:
            batch = [await queue.get()]
            while len(batch) < _BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            await self._at("before_settle")
            await self._settle(batch)

    async def _settle(self, batch: Sequence[Result]) -> None:
        pause = 0.05
        while True:
            try:
                async with self._database.unit_of_work() as work:
                    settled = await self._settlement.settle(work, batch, skip_locked=True)
            except Exception as error:  # noqa: BLE001 - the loop's edge
                if not is_transient(error):
                    await self._settle_singly(batch, error)
                    return
                log.warning("settlement.delayed", error=name_of(error), size=len(batch))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._on_settled(settled)
                loop = asyncio.get_running_loop()
                for result in settled.left:
                    loop.call_later(_LOCKED_SECONDS, self.put, result)
                return

    async def _settle_singly(self, batch: Sequence[Result], error: Exception) -> None:
        """Find the one that cannot be settled, so that the others are."""
        if len(batch) > 1:
            for result in batch:
                await self._settle([result])
            return
        (result,) = batch
        without_mid = _without_mid(result)
        if isinstance(error, IntegrityError) and without_mid is not None:
            # The platform's id is another message's already: of an echo that named no attempt.
            log.warning("settlement.mid_known", delivery_id=result.delivery_id)
            await self._settle([without_mid])
            return
        log.error("settlement.failed", delivery_id=result.delivery_id, exc_info=error)
        self._on_settled(Settled(done=[(result.delivery_id, None)]))


def _without_mid(result: Result) -> Result | None:
    if not isinstance(result, Ended):
        return None
    outcome = result.answer.outcome
    if not isinstance(outcome, Accepted) or outcome.source_message_id is None:
        return None
    return Ended(result.attempt, replace(result.answer, outcome=Accepted()))
