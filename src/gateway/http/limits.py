"""How many calls a key may make; counted in this process, in true time."""

import math
import time
from datetime import timedelta
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.errors import RateLimitedError

_WINDOW_SECONDS: Final = 60


class CallLimit:
    """A number of calls a minute for each caller; 0 lifts it."""

    def __init__(self, calls_a_minute: int) -> None:
        self._item = RateLimitItemPerMinute(calls_a_minute) if calls_a_minute else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, caller: str) -> tuple[dict[str, str], RateLimitedError | None]:
        """Count a call; return the headers of its answer, and the refusal if it is one too many."""
        if self._item is None:
            return {}, None
        taken = await self._limiter.hit(self._item, caller)
        stats = await self._limiter.get_window_stats(self._item, caller)
        limit = self._item.amount
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        headers = {
            "RateLimit-Policy": f'"calls";q={limit};w={_WINDOW_SECONDS}',
            "RateLimit": f'"calls";r={stats.remaining};t={seconds}',
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": str(stats.remaining),
            "RateLimit-Reset": str(seconds),
        }
        if taken:
            return headers, None
        refusal = RateLimitedError(
            f"This key has made its {limit} calls of the last minute.",
            retry_after=timedelta(seconds=seconds),
        )
        return headers, refusal
