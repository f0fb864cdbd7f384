"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta
from typing import Final

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class FakeClock:
    """A `gateway.clock.Clock` for tests: begins at a Monday's noon unless told otherwise."""

    def __init__(self, now: datetime = NOON) -> None:
        assert now.tzinfo is not None
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward (or back, by less than nothing) and return the new time."""
        self._now += by
        return self._now
