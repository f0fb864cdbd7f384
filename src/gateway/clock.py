"""The only source of "now".

Windows, timers, due times, presence and expiries use the product's clock, which `gateway dev` can
move forward. Leases, call time-outs and webhook timestamps use true time.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


class Clock(Protocol):
    """Tells the product's time."""

    def now(self) -> datetime:
        """Return the product's time, aware, in UTC."""
        ...


class SystemClock:
    """True time, moved forward by an offset that only `gateway dev` ever sets."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """Return the product's time."""
        now = TRUE_TIME.now()
        return now + self.offset if self.offset else now


class TrueTime:
    """True time as the database tells it, carried from one heart-beat to the next.

    Between two corrections it follows the machine's monotonic clock, so that a machine whose clock
    is wrong, or jumps, still judges windows and signs webhooks by the right time. Until the first
    correction it is the machine's clock.
    """

    def __init__(
        self,
        machine: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the machine's clocks, both in seconds."""
        self._machine = machine
        self._monotonic = monotonic
        # True time at the monotonic clock's zero.
        self._zero: float | None = None

    def now(self) -> datetime:
        """Return the true time, which nobody moves."""
        return datetime.fromtimestamp(self._seconds(), UTC)

    def correct(self, by: timedelta) -> None:
        """Set the time forward by what it was found to be behind; no time at all confirms it."""
        self._zero = self._seconds() + by.total_seconds() - self._monotonic()

    def _seconds(self) -> float:
        if self._zero is None:
            return self._machine()
        return self._zero + self._monotonic()


# There is one true time in a process; its heart-beat corrects it.
TRUE_TIME: Final = TrueTime()


def true_now() -> datetime:
    """Return the true time, which nobody moves."""
    return TRUE_TIME.now()


def machine_now() -> datetime:
    """Return what the machine's clock says, right or wrong."""
    return datetime.fromtimestamp(time.time(), UTC)
