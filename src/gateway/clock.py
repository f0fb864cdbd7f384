"""The only source of "now".

Windows, timers, due times, presence and expiries use the product's clock, which `gateway dev` can
move forward. Leases, call time-outs and webhook timestamps use true time.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the product's time."""

    def now(self) -> datetime:
        """Return the product's time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock, moved forward by an offset that only `gateway dev` ever sets."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """Return the product's time."""
        return true_now() + self.offset


def true_now() -> datetime:
    """Return the machine's time, which nobody moves."""
    return datetime.fromtimestamp(time.time(), UTC)
