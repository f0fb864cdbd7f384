"""One target's share of the work: what it may be sent, how much at once, and how fast."""

import heapq
from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from gateway.db.deliveries import Due
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import DeliveryKind, TargetKind
from gateway.domain.pacing import Pace, Sign, decide_pace
from gateway.domain.ramp import CallEnd, Ramp
from gateway.domain.usage import PRESSED_PERCENT, Usage
from gateway.domain.verdict import OVERDUE
from gateway.sender.rates import Bucket, Meter

if TYPE_CHECKING:
    from gateway.sender.apps import Portion

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
# What stays as it is is written down so often, so that it is known to be so.
_TELL_AGAIN: Final = timedelta(minutes=10)
# A first attempt so late shows that nothing could be sent for a while.
_LATE: Final = timedelta(seconds=30)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Target:
    """The deliveries of one target that are known to be due, and what is in flight.

    A target that is new, or has healed, proves itself before it gets many slots: see `Ramp`.
    """

    def __init__(self, target_id: str, kind: TargetKind, shard: int, *, concurrency: int) -> None:
        self.id = target_id
        # Known with its limits.
        self.account_id = ""
        self.kind = kind
        self.shard = shard
        self.concurrency = concurrency
        self._ramp = Ramp(min(concurrency, _FIRST_CALLS[kind]))
        self._ramp_bucket: Bucket | None = None
        self.slow = False
        self.in_flight = 0
        self.rests_until: datetime | None = None
        self._rest_known = False
        # When it was asked last what limits it.
        self.limits_at: datetime | None = None
        self._due: list[tuple[datetime, int, Due]] = []
        # Last come, first served, and only when nothing else is due: they are not kept for long.
        self._actions: deque[Due] = deque()
        page = kind is TargetKind.PAGE
        # Calls a second: what the platform or the customer says, and what was learnt.
        self._ceiling: float | None = PAGE_RATE if page else None
        self.pace: Pace | None = None
        self.usage_percent: int | None = None
        self._told_at: datetime | None = None
        # A Page's account shares the limit of its Meta app with other accounts.
        self.portion: Portion | None = None
        self._meter = Meter()
        self._bucket = Bucket(PAGE_RATE) if page else None
        self._media = Bucket(PAGE_MEDIA_RATE) if page else None

    def __len__(self) -> int:
        return len(self._due) + len(self._actions)

    def limit(self, limits: TargetLimits, *, default: int, now: datetime) -> None:
        """Take the limits that the database knows."""
        if self.limits_at is None and self.pace is None and limits.pace is not None:
            # What the process before us learnt.
            self.pace = limits.pace
        self.limits_at, self.account_id = now, limits.account_id
        self.concurrency = limits.concurrency or default
        if limits.slow and not self.slow and self.in_flight == 0:
            self.slow = True
            self._follow(replace(self._ramp, allowed=1))
        self._take_rest(limits.rests_until)
        if self.kind is not TargetKind.PAGE:
            self._ceiling = limits.rate
        self._keep_to_rate()

    def _take_rest(self, until: datetime | None) -> None:
        """Take the rest that the database knows; what its owner has ended there ends here."""
        if until is not None:
            self.rest(until)
        elif self._rest_known:
            self.rests_until = None
        self._rest_known = until is not None

    def begin_late(self, first: Due, now: datetime) -> None:
        """Start slowly if the first that is known of its work should have left long ago."""
        if first.attempt == 0 and now - first.created_at > _LATE:
            self._follow(Ramp.after_outage(now))

    def rest(self, until: datetime) -> None:
        """Send nothing before a moment."""
        self.rests_until = max(until, self.rests_until or until)

    def rests(self, now: datetime) -> bool:
        """Say whether it asked not to be called for now."""
        return self.rests_until is not None and self.rests_until > now

    def hear(
        self, usage: Usage | None, *, refused: bool, called_at: datetime, now: datetime
    ) -> bool:
        """Take in what a call told of the target's limit; say whether it is to be noted."""
        fresh = usage is not None and self._is_news(usage.percent, now)
        if usage is not None:
            self.usage_percent = usage.percent
        elif self.usage_percent is not None and not refused:
            # It says so elsewhere; this time it said nothing.
            return False
        percent = self.usage_percent or 0
        if self.pace is None and not refused and percent < PRESSED_PERCENT:
            return fresh
        before = self.pace
        sign = Sign(
            percent=percent,
            refused=refused,
            calls=self._meter.rate(now),
            called_at=called_at,
            resumes_at=max(now, self.rests_until or now),
        )
        self.pace = decide_pace(before, sign, ceiling=self._ceiling)
        self._keep_to_rate()
        return fresh or self.pace != before

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
        if self.in_flight >= min(self._ramp.allowed, self.concurrency) or not len(self):
            return None
        at = now
        if self.rests_until is not None and self.rests_until > now:
            at = self._end_of_rest(now)
        if not self._actions:
            at = max(at, self._due[0][0])
        for bucket in (self._bucket, self._ramp_bucket):
            if bucket is not None:
                at = max(at, bucket.free_at(now))
        if self._due and self._due[0][2].content_type in _MEDIA and self._media is not None:
            at = max(at, self._media.free_at(now))
        return at

    def pop(self, now: datetime) -> Due:
        """Return what leaves next; only after `next_at` said so."""
        if self._due and (self._due[0][0] <= now or not self._actions):
            due = heapq.heappop(self._due)[2]
        else:
            due = self._actions.pop()
        self._meter.count(now)
        for bucket in self._buckets(due):
            bucket.take(now)
        if self.portion is not None:
            self.portion.take(now)
        self.in_flight += 1
        return due

    def put_back(self, due: Due) -> None:
        """Count a delivery that was taken as one that was not: it comes again later."""
        self._meter.give_back()
        for bucket in self._buckets(due):
            bucket.give_back()
        if self.portion is not None:
            self.portion.give_back()
        self.in_flight -= 1

    def count_call(self, now: datetime) -> None:
        """Count a call that was made for a delivery before its own: a file was uploaded."""
        self._meter.count(now)
        if self._bucket is not None:
            self._bucket.take(now)
        if self.portion is not None:
            self.portion.take(now)

    def _buckets(self, due: Due) -> list[Bucket]:
        """Return what counts the calls of a delivery at this target alone."""
        buckets = [self._bucket, self._ramp_bucket]
        if due.content_type in _MEDIA:
            buckets.append(self._media)
        return [bucket for bucket in buckets if bucket is not None]

    def ended(self, *, end: CallEnd | None, now: datetime) -> None:
        """Note that a call has ended; `end` None when there was none, or nobody knows."""
        self.in_flight -= 1
        if end is None:
            return
        self.slow = end is CallEnd.HUNG
        self._follow(self._ramp.after_call(end, limit=self.concurrency, now=now))

    def drop(self) -> list[Due]:
        """Forget what has not left, and return it."""
        dropped = [due for _, _, due in self._due] + list(self._actions)
        self._due.clear()
        self._actions.clear()
        return dropped

    def _follow(self, ramp: Ramp) -> None:
        if ramp.rate is None:
            self._ramp_bucket = None
        elif self._ramp_bucket is None or self._ramp_bucket.rate != ramp.rate:
            self._ramp_bucket = Bucket(ramp.rate)
        self._ramp = ramp

    def _end_of_rest(self, now: datetime) -> datetime:
        """Return when the rest is over, or the first message's deadline: then it is let fail."""
        assert self.rests_until is not None
        deadline = self._due[0][2].deadline_at if self._due else None
        if deadline is None:
            return self.rests_until
        return min(self.rests_until, max(now, deadline + OVERDUE + _MILLISECOND))

    def _is_news(self, percent: int, now: datetime) -> bool:
        """Say whether a usage differs from what was told last, or that was told long ago."""
        if percent == self.usage_percent and self._told_at and now < self._told_at + _TELL_AGAIN:
            return False
        self._told_at = now
        return True

    def _keep_to_rate(self) -> None:
        rates = [self._ceiling, None if self.pace is None else self.pace.rate]
        rate = min((each for each in rates if each is not None), default=None)
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Bucket(rate)
        elif self._bucket.rate != rate:
            self._bucket.change(rate)
