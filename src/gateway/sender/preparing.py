"""Media of messages, got ready before their deliveries are claimed.

A delivery whose media is not ready takes no slot and no place of its target meanwhile, and keeps
its place in its lane by being the first there. It is claimed when its media is ready, or cannot be.
So a process that dies here leaves a message that nobody has sent.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Collection
from functools import partial
from typing import Final

import structlog

from gateway.db.deliveries import Due
from gateway.db.failures import is_transient, name_of
from gateway.sender.attempts import Attempt, Ended, Readiness
from gateway.sender.board import Board
from gateway.sender.media_desk import MediaDesk
from gateway.sender.metrics import MEDIA_PREPARING

# At once: in all, of one target, and of one whose last one took too long.
_AT_ONCE: Final = 32
_OF_TARGET: Final = 4
_OF_SLOW_TARGET: Final = 1
_SLOW_SECONDS: Final = 10.0
# Of one target, beside those that run; more are found again by the next look.
_WAITING: Final = 16
_READY_KEPT: Final = 10_000
_AGAIN_SECONDS: Final = 0.5

log = structlog.get_logger()


class Preparing:
    """Gets media ready beside the sender's other work."""

    def __init__(self, desk: MediaDesk | None, board: Board) -> None:
        """Take who gets it ready; None: media is sent as the message has it."""
        self._desk = desk
        self._board = board
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._of_target: Counter[str] = Counter()
        self._slow: set[str] = set()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ready: OrderedDict[str, Readiness] = OrderedDict()
        self._stopped = False

    def sort(self, batch: Collection[Due], group: asyncio.TaskGroup) -> list[Due]:
        """Return those that may be claimed now, and begin to get the others' media ready."""
        desk = self._desk
        if desk is None:
            return list(batch)
        now: list[Due] = []
        for due in batch:
            if due.id in self._ready or not desk.wants(due):
                now.append(due)
                continue
            self._board.put_back(due)
            if not self._stopped and due.id not in self._running:
                self._begin(desk, due, group)
        return now

    def equip(self, attempt: Attempt) -> Readiness | None:
        """Return what came of a claimed delivery's media, once."""
        return self._ready.pop(attempt.delivery.id, None)

    async def reconsider(self, ended: Ended) -> Ended:
        """Return what a call came to, as far as its media changes that."""
        return ended if self._desk is None else await self._desk.reconsider(ended)

    def stop(self) -> None:
        """Begin nothing more and drop what runs: another process does it anew."""
        self._stopped = True
        for task in self._running.values():
            task.cancel()

    def _begin(self, desk: MediaDesk, due: Due, group: asyncio.TaskGroup) -> None:
        target = due.target_id
        if self._of_target[target] >= _OF_TARGET + _WAITING:
            return
        self._of_target[target] += 1
        task = group.create_task(self._prepare(desk, due))
        self._running[due.id] = task
        MEDIA_PREPARING.inc()

        def ended(_task: asyncio.Task[None]) -> None:
            MEDIA_PREPARING.dec()
            del self._running[due.id]
            self._of_target[target] -= 1
            if not self._of_target[target]:
                del self._of_target[target]
                self._turns.pop(target, None)
            # Whatever came of it: it is looked at again.
            if not self._stopped:
                self._board.offer([due])

        task.add_done_callback(ended)

    async def _prepare(self, desk: MediaDesk, due: Due) -> None:
        board, target = self._board, due.target_id
        most = _OF_SLOW_TARGET if target in self._slow else _OF_TARGET
        turn = self._turns.setdefault(target, asyncio.Semaphore(most))
        async with turn, self._places:
            started = asyncio.get_running_loop().time()
            try:
                readiness = await desk.prepare(due, on_call=partial(board.count_call, target))
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("media.not_looked_up", error=name_of(error))
                await asyncio.sleep(_AGAIN_SECONDS)
                return
            took = asyncio.get_running_loop().time() - started
            (self._slow.add if took > _SLOW_SECONDS else self._slow.discard)(target)
        self._ready[due.id] = readiness
        if len(self._ready) > _READY_KEPT:
            self._ready.popitem(last=False)
