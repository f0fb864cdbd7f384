"""Lets what waits at the same moment share one transaction: one leads, the others ride along.

Under load, what queues up while a transaction runs makes the next one larger; when there is little
to do, nobody waits for company.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Load(Protocol):
    """What somebody wants done."""

    @property
    def size(self) -> int:
        """How much it is; who runs it may do less, and be asked for the rest again."""
        ...


LoadT = TypeVar("LoadT", bound=Load)


@dataclass(slots=True, eq=False)
class _Place(Generic[LoadT]):
    """Somebody who waits; the future says whether to lead now, or that another has done it."""

    load: LoadT | None
    leads: asyncio.Future[bool]


class Convoy(Generic[LoadT]):
    """Runs a few transactions at a time, each for the loads that wait and fit."""

    def __init__(
        self, run: Callable[[Sequence[LoadT]], Awaitable[None]], *, at_once: int, most: int
    ) -> None:
        """Describe the convoy.

        Args:
            run: Does loads together, and notes with each what became of it.
            at_once: How many transactions run at a time.
            most: How much is done in one; a load that is more by itself goes alone.
        """
        self._run = run
        self._at_once = at_once
        self._most = most
        self._running = 0
        self._waiting: deque[_Place[LoadT]] = deque()

    async def ride(self, load: LoadT) -> None:
        """Return when a load has been run, by us or by somebody who took it along.

        Raises what `run` raises where we led. Where another led and failed, nothing became of the
        load, and it may be asked for again.
        """
        if not await self._turn(load):
            return
        riders = self._board(self._most - load.size)
        try:
            await self._run([load, *(each.load for each in riders if each.load is not None)])
        finally:
            for each in riders:
                if not each.leads.done():
                    each.leads.set_result(False)
            self._pass_on()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run a transaction with nobody else's load, in turn with the others."""
        await self._turn(None)
        try:
            yield
        finally:
            self._pass_on()

    async def _turn(self, load: LoadT | None) -> bool:
        if self._running < self._at_once:
            self._running += 1
            return True
        place = _Place(load, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        try:
            return await place.leads
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            if not place.leads.cancelled() and place.leads.result():
                # It was our turn just when we were told to end.
                self._pass_on()
            raise

    def _board(self, room: int) -> list[_Place[LoadT]]:
        """Take those along who wait and fit, in the order in which they came."""
        riders = []
        for place in list(self._waiting):
            if place.load is not None and place.load.size <= room:
                room -= place.load.size
                self._waiting.remove(place)
                riders.append(place)
        return riders

    def _pass_on(self) -> None:
        self._running -= 1
        while self._waiting:
            place = self._waiting.popleft()
            if not place.leads.done():
                self._running += 1
                place.leads.set_result(True)
                return
