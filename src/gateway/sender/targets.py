"""One target's share of the work: what it may be sent, how much at once, and how fast."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gateway.db.deliveries import Due
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import DeliveryKind, TargetKind

# Meta's own limits of a Page: calls a second, and those with audio or video among them.
PAGE_RATE: Final = 300
PAGE_MEDIA_RATE: Final = 10
_MEDIA: Final = frozenset({"audio", "video"})
# A Page's calls go to Meta, who is known; anybody may run the others.
_FIRST_CALLS: Final = {
    TargetKind.PAGE: 8,
    TargetKind.THIRD_PARTY: 1,
    TargetKind.ENDPOINT: 1,
}
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class Bucket:
    """Lets through so many a second, a tenth of a second's worth at once."""

    rate: float
    tokens: float = field(init=False)
    filled_at: datetime | None = None

    def __post_init__(self) -> None:
        self.tokens = self.capacity

    @property
    def capacity(self) -> float:
        """How many may go at once."""
        return max(1.0, self.rate / 10)

    def free_at(self, now: datetime) -> datetime:
        """Return when one may go; not later than `now` if one may go now."""
        if self.filled_at is not None and now > self.filled_at:
            gained = (now - self.filled_at).total_seconds() * self.rate
            self.tokens = min(self.capacity, self.tokens + gained)
        self.filled_at = now
        if self.tokens >= 1:
            return now
        return now + timedelta(seconds=(1 - self.tokens) / self.rate) + _MILLISECOND

    def take(self) -> None:
        """Let one go."""
        self.tokens -= 1


class Target:
    """The deliveries of one target that are known to be due, and what is in flight.

    `allowed` starts low, doubles up to the target's limit with each call that does not hang, and
    falls to one when a call does: a target that is new, or has healed, proves itself before it
    gets many slots.
    """

    def __init__(self, target_id: str, kind: TargetKind, shard: int, *, concurrency: int) -> None:
        self.id = target_id
        self.kind = kind
        self.shard = shard
        self.concurrency = concurrency
        self.allowed = min(concurrency, _FIRST_CALLS[kind])
        self.slow = False
        self.in_flight = 0
        self.rests_until: datetime | None = None
        # When it was asked last what limits it.
        self.limits_at: datetime | None = None
        self._due: list[tuple[datetime, int, Due]] = []
        # Last come, first served, and only when nothing else is due: they are not kept for long.
        self._actions: deque[Due] = deque()
        page = kind is TargetKind.PAGE
        self._bucket = Bucket(PAGE_RATE) if page else None
        self._media = Bucket(PAGE_MEDIA_RATE) if page else None

    def __len__(self) -> int:
        return len(self._due) + len(self._actions)

    def limit(self, limits: TargetLimits, *, default: int, now: datetime) -> None:
        """Take the limits that the database knows."""
        self.limits_at = now
        self.concurrency = limits.concurrency or default
        self.allowed = min(self.allowed, self.concurrency)
        if limits.slow and not self.slow and self.in_flight == 0:
            self.slow, self.allowed = True, 1
        if limits.rests_until is not None:
            self.rest(limits.rests_until)
        if limits.rate is not None and (self._bucket is None or self._bucket.rate != limits.rate):
            self._bucket = Bucket(limits.rate)
        elif limits.rate is None and self.kind is not TargetKind.PAGE:
            self._bucket = None

    def rest(self, until: datetime) -> None:
        """Send nothing before a moment."""
        self.rests_until = max(until, self.rests_until or until)

    def add(self, due: Due) -> None:
        """Take a delivery in."""
        if due.kind is DeliveryKind.ACTION:
            self._actions.append(due)
        else:
            heapq.heappush(self._due, (due.due_at, due.ordinal, due))

    def next_at(self, now: datetime) -> datetime | None:
        """Return when something may leave, not later than `now` if now; None: nothing can.

        None while as many are in flight as may be.
        """
        if self.in_flight >= self.allowed or not len(self):
            return None
        at = now
        if self.rests_until is not None and self.rests_until > now:
            at = self.rests_until
        if not self._actions:
            at = max(at, self._due[0][0])
        if self._bucket is not None:
            at = max(at, self._bucket.free_at(now))
        if self._due and self._due[0][2].content_type in _MEDIA and self._media is not None:
            at = max(at, self._media.free_at(now))
        return at

    def pop(self, now: datetime) -> Due:
        """Return what leaves next; only after `next_at` said so."""
        if self._due and (self._due[0][0] <= now or not self._actions):
            due = heapq.heappop(self._due)[2]
        else:
            due = self._actions.pop()
        if self._bucket is not None:
            self._bucket.take()
        if self._media is not None and due.content_type in _MEDIA:
            self._media.take()
        self.in_flight += 1
        return due

    def ended(self, *, slow: bool | None) -> None:
        """Note that a call has ended; `slow` None when there was none, or nobody knows."""
        self.in_flight -= 1
        if slow is None:
            return
        self.slow = slow
        self.allowed = 1 if slow else min(self.concurrency, self.allowed * 2)

    def drop(self) -> list[Due]:
        """Forget what has not left, and return it."""
        dropped = [due for _, _, due in self._due] + list(self._actions)
        self._due.clear()
        self._actions.clear()
        return dropped
