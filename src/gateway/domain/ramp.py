"""How much a target is sent while it is new, sick or has just healed: slow start.

Calls at once grow by one with each call that goes well, so they double with each round of calls: 1,
2, 4 … up to the target's limit. After an outage calls a second start low, too, and double with each
second in which calls go well: what has just come back is not felled again by all that waited.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

# So many failures on end, with no success among them, are an outage.
OUTAGE_FAILURES: Final = 5
# Calls a second at a target that has just healed, and from how many on nothing slows them any more.
FIRST_RATE: Final = 10.0
FULL_RATE: Final = 1000.0
_STEP: Final = timedelta(seconds=1)


class CallEnd(StrEnum):
    """What the end of a call shows of its target."""

    WELL = "well"
    FAILED = "failed"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Ramp:
    """How much a target may be sent for now.

    Attributes:
        allowed: Calls at once.
        rate: Calls a second; None: the ramp does not limit them.
        raised_at: When the rate was set last.
        failures: How many calls failed since the last one that went well.
    """

    allowed: int
    rate: float | None = None
    raised_at: datetime | None = None
    failures: int = 0

    @classmethod
    def after_outage(cls, now: datetime) -> Self:
        """Return the start of a target that could be sent nothing for a while."""
        return cls(1, FIRST_RATE, now)

    def after_call(self, end: CallEnd, *, limit: int, now: datetime) -> "Ramp":
        """Return the ramp after a call; `limit` is the most calls at once."""
        if end is CallEnd.WELL:
            return self._grown(limit, now)
        failures = self.failures + 1
        if failures >= OUTAGE_FAILURES:
            return Ramp(1, FIRST_RATE, now, failures)
        allowed = 1 if end is CallEnd.HUNG else self.allowed
        return replace(self, allowed=allowed, failures=failures)

    def _grown(self, limit: int, now: datetime) -> "Ramp":
        if self.allowed >= limit and self.rate is None and not self.failures:
            return self
        rate, raised_at = self.rate, self.raised_at
        if rate is not None and (raised_at is None or now - raised_at >= _STEP):
            rate, raised_at = rate * 2, now
        if rate is not None and rate >= FULL_RATE:
            rate, raised_at = None, None
        return Ramp(max(self.allowed, min(limit, self.allowed + 1)), rate, raised_at)
