"""Ends waits that take too long, many of them with one timer.

A timer for each record would cost as much as writing it does.
"""

import asyncio
from typing import Any, Final, Protocol

# How much later than asked a wait may end.
_STEP_SECONDS: Final = 0.05


class Wait(Protocol):
    """What somebody waits for, and not for ever."""

    def done(self) -> bool:
        """Say whether nobody waits any more."""
        ...

    def expire(self, now: float) -> None:
        """End: the time is up. `now` is the loop's."""
        ...


class Deadlines:
    """The waits of one event loop, in steps of a twentieth of a second."""

    def __init__(self) -> None:
        self._steps: dict[int, list[Wait]] = {}

    def watch(self, waited_for: asyncio.Future[Any], deadline: float) -> None:
        """Let a future fail with `TimeoutError` where it is not done by then, in the loop's time.

        The future must be one that nobody minds being failed from outside.
        """
        self.watch_wait(_Future(waited_for), deadline)

    def watch_wait(self, wait: Wait, deadline: float) -> None:
        """Let a wait expire where it is not done by then, in the loop's time."""
        step = int(deadline / _STEP_SECONDS) + 1
        waits = self._steps.get(step)
        if waits is None:
            waits = self._steps[step] = []
            asyncio.get_running_loop().call_at(step * _STEP_SECONDS, self._end, step)
        waits.append(wait)

    def _end(self, step: int) -> None:
        now = step * _STEP_SECONDS
        for wait in self._steps.pop(step):
            if not wait.done():
                wait.expire(now)


class _Future:
    """A future that fails when its time is up."""

    __slots__ = ("_future", "done")

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        self.done = future.done

    def expire(self, _now: float) -> None:
        self._future.set_exception(TimeoutError())
