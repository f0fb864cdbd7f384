"""Calls a second: let through, and counted."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

_MILLISECOND: Final = timedelta(milliseconds=1)
_SECOND: Final = timedelta(seconds=1)
# Who has used up what it may comes back for several at once: a claim for each call alone would keep
# those waiting who are at no limit.
_STEP_SECONDS: Final = 0.05
# What was called lately: within five to ten seconds.
_WINDOW: Final = timedelta(seconds=5)


@dataclass(slots=True)
class Bucket:
    """Lets through so many a second, a tenth of a second's worth at once.

    Within any second there are never more than `rate`, rounded up. Whoever has used that up is let
    through again when there is a twentieth of a second's worth.
    """

    rate: float
    tokens: float = field(init=False)
    filled_at: datetime | None = None
    _closed_until: datetime | None = None
    _gone: deque[datetime] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.tokens = self.capacity

    @property
    def capacity(self) -> float:
        """How many may go at once."""
        return max(1.0, self.rate / 10)

    def change(self, rate: float) -> None:
        """Go on at another rate, without a gift of tokens."""
        self.rate = rate
        self.tokens = min(self.tokens, self.capacity)
        self._closed_until = None

    def free_at(self, now: datetime) -> datetime:
        """Return when one may go; not later than `now` if one may go now."""
        self._fill(now)
        at = now
        if self.tokens < 1:
            at = self._filled_at(1)
        if self._closed_until is not None:
            at = max(at, self._closed_until)
        if len(self._gone) >= self.rate > 1:
            at = max(at, self._gone[0] + _SECOND)
        return at

    def take(self, now: datetime) -> None:
        """Let one go."""
        self.tokens -= 1
        if self.tokens < 1:
            self.filled_at = self.filled_at or now
            self._closed_until = self._filled_at(max(1.0, self.rate * _STEP_SECONDS))
        # At one a second and slower the tokens see to it alone.
        if self.rate > 1:
            self._gone.append(now)

    def give_back(self) -> None:
        """Take back that the last one went: it did not."""
        self.tokens = min(self.capacity, self.tokens + 1)
        self._closed_until = None
        if self._gone:
            self._gone.pop()

    def _filled_at(self, tokens: float) -> datetime:
        """Return when there will be so many."""
        assert self.filled_at is not None
        wait = timedelta(seconds=(tokens - self.tokens) / self.rate)
        return self.filled_at + wait + _MILLISECOND

    def _fill(self, now: datetime) -> None:
        if self.filled_at is not None and now > self.filled_at:
            gained = (now - self.filled_at).total_seconds() * self.rate
            self.tokens = min(self.capacity, self.tokens + gained)
        self.filled_at = now
        while self._gone and self._gone[0] <= now - _SECOND:
            self._gone.popleft()


@dataclass(slots=True)
class Meter:
    """Tells how many calls a second there were lately."""

    _began: datetime | None = None
    _count: int = 0
    # Of the window before: none after a silence.
    _before: int = 0
    _before_lasted: timedelta = timedelta()

    def count(self, now: datetime) -> None:
        """Count a call."""
        self._turn(now)
        self._count += 1

    def give_back(self) -> None:
        """Take back the last count: there was no call."""
        if self._count:
            self._count -= 1
        elif self._before:
            self._before -= 1

    def rate(self, now: datetime) -> float:
        """Return the calls a second of the last window and of the one that runs."""
        self._turn(now)
        if self._began is None:
            return 0.0
        lasted = max(self._before_lasted + (now - self._began), _SECOND)
        return (self._before + self._count) / lasted.total_seconds()

    def _turn(self, now: datetime) -> None:
        if self._began is None or now - self._began >= 2 * _WINDOW:
            self._began, self._count = now, 0
            self._before, self._before_lasted = 0, timedelta()
        elif now - self._began >= _WINDOW:
            self._began += _WINDOW
            self._before, self._before_lasted, self._count = self._count, _WINDOW, 0
