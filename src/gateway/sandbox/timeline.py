"""The sandbox's own time, which a drill can move forward without waiting."""

import asyncio
import contextlib
from datetime import datetime, timedelta

from gateway.clock import SystemClock


class Timeline:
    """Tells the sandbox's time and wakes whoever waits for a moment of it."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """Return the sandbox's time, aware, in UTC."""
        return self._clock.now()

    def millis(self) -> int:
        """Return the sandbox's time as Meta writes it: milliseconds since 1970."""
        return int(self._clock.now().timestamp() * 1000)

    @property
    def offset(self) -> timedelta:
        """How far ahead of the machine's clock this one is."""
        return self._clock.offset

    def move(self, by: timedelta) -> None:
        """Move the clock and wake everyone whose moment has come."""
        self._clock.offset += by
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, moment: datetime) -> None:
        """Return when the sandbox's time has reached a moment."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            moved = self._moved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await moved.wait()
