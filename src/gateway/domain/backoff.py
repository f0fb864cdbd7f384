"""How long to wait before a delivery is tried again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

JITTER: Final = 0.2
# Nobody is tried for longer than this without a word: an endpoint that asks for more is disabled,
# and then called no earlier than its owner says; of others, no more is believed.
RETRY_AFTER_LIMIT: Final = timedelta(days=5)
# What more digits come to: too long to be believed, and short enough to reckon with.
_MAX_DIGITS: Final = 9
LONGEST_ASKED: Final = timedelta(seconds=10**_MAX_DIGITS)


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The waits between attempts, each ± 20 % so that what failed together does not return so.

    `endless` repeats the last wait; a deadline ends it then.
    """

    waits: tuple[timedelta, ...]
    endless: bool = False

    def wait_after(
        self, attempt: int, *, retry_after: timedelta | None, chance: random.Random
    ) -> timedelta | None:
        """Return the wait after a failed attempt (1 is the first), or None when none is left.

        It is never shorter than what the peer asked for, up to five days. The first wait is never
        longer than the schedule says.
        """
        if attempt <= len(self.waits):
            wait = self.waits[attempt - 1]
        elif self.endless:
            wait = self.waits[-1]
        else:
            return None
        longest = 1.0 if attempt == 1 else 1 + JITTER
        wait *= chance.uniform(1 - JITTER, longest)
        if retry_after is None:
            return wait
        return max(wait, min(retry_after, RETRY_AFTER_LIMIT))


def endpoint_schedule(seconds: Sequence[int]) -> RetrySchedule:
    """Return the published schedule of endpoint deliveries."""
    return RetrySchedule(tuple(timedelta(seconds=each) for each in seconds))


# Somebody waits for an answer: tried often, until the message's deadline.
MESSAGE_SCHEDULE: Final = RetrySchedule(
    tuple(timedelta(seconds=each) for each in (5, 10, 20, 40, 80, 160, 300)), endless=True
)


def parse_retry_after(values: Sequence[str], *, now: datetime) -> timedelta | None:
    """Return what `Retry-After` asks for; None for what is absent, negative, past or unreadable.

    Of several values the longest counts. `now` is true time, which HTTP dates are in.
    """
    waits = [wait for value in values if (wait := _parse_one(value.strip(), now)) is not None]
    return max(waits, default=None)


def _parse_one(value: str, now: datetime) -> timedelta | None:
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value)) if len(value) <= _MAX_DIGITS else LONGEST_ASKED
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        wait = moment - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return wait if wait > timedelta() else None
