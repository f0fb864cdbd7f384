"""Ends waits that take too long, many of them with one timer.

A timer for each record would cost as much as writing it does.
"""

import asyncio
from typing import Any, Final

# How much later than asked a wait may end.
_STEP_SECONDS: Final = 0.05


class Deadlines:
    """The waits of one event loop, in steps of a twentieth of a second."""

    def __init__(self) -> None:
        self._steps: dict[int, list[asyncio.Future[Any]]] = {}

    def watch(self, waited_for: asyncio.Future[Any], deadline: float) -> None:
        """Let a future fail with `TimeoutError` where it is not done by then, in the loop's time.

        The future must be one that nobody minds being failed from outside.
        """
        step = int(deadline / _STEP_SECONDS) + 1
        waits = self._steps.get(step)
        if waits is None:
            waits = self._steps[step] = []
            loop = waited_for.get_loop()
            loop.call_at(step * _STEP_SECONDS, self._end, step)
        waits.append(waited_for)

    def _end(self, step: int) -> None:
        for waited_for in self._steps.pop(step):
            if not waited_for.done():
                waited_for.set_exception(TimeoutError())
