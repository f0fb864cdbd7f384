"""What may leave next: targets in fair turn, one at a time in each lane, slow targets apart.

Kept in memory by the process that owns the shards; nothing here waits or speaks to anybody. Whoever
is not allowed now has a due time, so that no slot is ever spent on waiting.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.db.deliveries import Due
from gateway.db.lanes import Lane
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import TargetKind
from gateway.domain.ramp import CallEnd
from gateway.sender.targets import Target

SLOW_SHARE: Final = 0.25
# Targets with nothing to do are forgotten after this; what they learnt is in the database.
_FORGET_AFTER: Final = timedelta(seconds=60)


class Lanes:
    """The sender's plan: candidates come in, those that may leave now come out.

    A candidate that came out is in flight until `ended`; its lane sends nothing else meanwhile.
    """

    def __init__(self, *, slots: int, concurrency: Mapping[TargetKind, int]) -> None:
        """Take how many calls may run at once, and how many at one target by its kind."""
        self._slots = slots
        self._slow_slots = max(1, int(slots * SLOW_SHARE))
        self._concurrency = concurrency
        self._targets: dict[str, Target] = {}
        # Targets in turn: those that are well, and those whose last call hung.
        self._well: deque[Target] = deque()
        self._slow: deque[Target] = deque()
        self._in_turn: set[str] = set()
        # When targets that may send nothing now come into turn again, each once.
        self._later: list[tuple[datetime, str]] = []
        self._later_at: dict[str, datetime] = {}
        self._more: dict[str, int] = {}
        self._known: dict[str, Due] = {}
        self._busy_lanes: dict[Lane, str] = {}
        self._behind: dict[Lane, list[Due]] = {}
        self._in_flight: dict[str, tuple[Target, Lane, bool]] = {}
        self._slow_in_flight = 0

    @property
    def in_flight(self) -> Collection[str]:
        """The deliveries in flight."""
        return self._in_flight.keys()

    @property
    def waiting(self) -> int:
        """How many deliveries are known and have not left."""
        return len(self._known)

    @property
    def slow_targets(self) -> int:
        """How many targets have one call at a time for now."""
        return sum(target.slow for target in self._targets.values())

    def offer(self, candidates: Collection[Due], *, now: datetime, page: int | None = None) -> None:
        """Take deliveries in; those that are known or in flight are left out.

        `page`: they are the first so many of each target; who has a full page has more.
        """
        if page is not None:
            for target_id, count in Counter(due.target_id for due in candidates).items():
                if count >= page:
                    self._more[target_id] = page
        for due in candidates:
            if due.id in self._in_flight:
                continue
            if due.target_id not in self._targets:
                self._target(due.target_id, due.target_kind, due.shard).begin_late(due, now)
            target = self._targets[due.target_id]
            if due.id not in self._known:
                self._known[due.id] = due
                target.add(due)
            # Also what was known: its target may have lost its turn with the shard.
            self._queue(target, now)

    def hungry(self) -> set[int]:
        """Return the shards of targets that have more to send than is known, and soon no more."""
        shards = set()
        for target_id, page in list(self._more.items()):
            target = self._targets.get(target_id)
            if target is not None and len(target) < page / 2:
                shards.add(target.shard)
                del self._more[target_id]
        return shards

    def need_limits(self, target_ids: Collection[str], *, older_than: datetime) -> list[str]:
        """Return those targets whose limits were never asked for, or too long ago."""
        known = {each: self._targets.get(each) for each in target_ids}
        return [
            target_id
            for target_id, target in known.items()
            if target is None or target.limits_at is None or target.limits_at < older_than
        ]

    def limit(self, limits: Iterable[TargetLimits], *, now: datetime) -> None:
        """Take the limits of targets."""
        for each in limits:
            target = self._targets.get(each.target_id)
            if target is not None:
                target.limit(each, default=self._concurrency[target.kind], now=now)
                self._queue(target, now)

    def rest(self, target_id: str, *, until: datetime) -> None:
        """Send a target nothing before a moment."""
        target = self._targets.get(target_id)
        if target is not None:
            target.rest(until)

    def take(self, *, now: datetime, limit: int, may: Callable[[int], bool]) -> list[Due]:
        """Return what leaves now, one of each target in turn, and count it as in flight.

        `may` says of a shard whether its work may start.
        """
        self._recall(now)
        taken: list[Due] = []
        while len(taken) < limit and len(self._in_flight) < self._slots:
            due = self._next(now, may)
            if due is None:
                break
            taken.append(due)
        return taken

    def ended(self, delivery_id: str, *, now: datetime, end: CallEnd | None) -> None:
        """Note that a delivery is settled: its slot, target and lane are free again.

        `end`: what its call showed of the target; None when there was none.
        """
        entry = self._in_flight.pop(delivery_id, None)
        if entry is None:
            return
        target, lane, counted_slow = entry
        self._slow_in_flight -= counted_slow
        target.ended(end=end, now=now)
        if self._busy_lanes.get(lane) == delivery_id:
            del self._busy_lanes[lane]
            for due in self._behind.pop(lane, ()):
                target.add(due)
        self._queue(target, now)

    def occupy(self, delivery_id: str, kind: TargetKind, shard: int, lane: Lane) -> None:
        """Count a call that another process may still be making, until `ended`."""
        if delivery_id in self._in_flight:
            return
        target = self._target(lane[0], kind, shard)
        target.in_flight += 1
        self._in_flight[delivery_id] = (target, lane, False)
        self._busy_lanes.setdefault(lane, delivery_id)

    def count_in_flight(self, shards: Collection[int] | None, *, but: Collection[str]) -> int:
        """Return how many are in flight in some shards (None: in all), not counting some."""
        return sum(
            delivery_id not in but and (shards is None or target.shard in shards)
            for delivery_id, (target, _, _) in self._in_flight.items()
        )

    def forget(self, shards: Collection[int]) -> None:
        """Forget what has not left of shards that are no longer ours."""
        for target in self._targets.values():
            if target.shard in shards:
                for due in target.drop():
                    self._known.pop(due.id, None)
        for lane, dues in list(self._behind.items()):
            if dues[0].shard in shards:
                for due in self._behind.pop(lane):
                    self._known.pop(due.id, None)

    def tidy(self, *, now: datetime) -> None:
        """Forget targets that have had nothing to do for a while."""
        for target in list(self._targets.values()):
            fresh = target.limits_at is None or target.limits_at > now - _FORGET_AFTER
            resting = target.rests_until is not None and target.rests_until > now
            if not (len(target) or target.in_flight or fresh or resting or target.slow):
                del self._targets[target.id]

    def next_at(self) -> datetime | None:
        """Return when a due time comes that nothing else will announce."""
        while self._later and self._later_at.get(self._later[0][1]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def _recall(self, now: datetime) -> None:
        while self._later and self._later[0][0] <= now:
            at, target_id = heapq.heappop(self._later)
            target = self._targets.get(target_id)
            if self._later_at.get(target_id) == at:
                del self._later_at[target_id]
                if target is not None:
                    self._queue(target, now)

    def _next(self, now: datetime, may: Callable[[int], bool]) -> Due | None:
        """Return the next of the well targets, else of the slow ones while they have slots."""
        rings = [self._well]
        if self._slow_in_flight < self._slow_slots:
            # Every other turn is theirs, so that neither starves.
            rings.insert(len(self._in_flight) % 2, self._slow)
        for ring in rings:
            while ring:
                target = ring.popleft()
                self._in_turn.discard(target.id)
                if target.slow is not (ring is self._slow):
                    # It fell ill, or got well, since it was queued.
                    self._queue(target, now)
                    continue
                due = self._start(target, now, may)
                if due is not None:
                    return due
        return None

    def _start(self, target: Target, now: datetime, may: Callable[[int], bool]) -> Due | None:
        at = target.next_at(now)
        if at is None or not may(target.shard):
            return None
        if at > now:
            self._queue(target, now)
            return None
        due = target.pop(now)
        lane = (due.target_id, due.lane)
        if lane in self._busy_lanes:
            target.in_flight -= 1
            self._behind.setdefault(lane, []).append(due)
            self._queue(target, now)
            return None
        del self._known[due.id]
        self._busy_lanes[lane] = due.id
        self._in_flight[due.id] = (target, lane, target.slow)
        self._slow_in_flight += target.slow
        self._queue(target, now)
        return due

    def _queue(self, target: Target, now: datetime) -> None:
        at = target.next_at(now)
        if at is None or target.id in self._in_turn:
            return
        if at <= now:
            self._in_turn.add(target.id)
            (self._slow if target.slow else self._well).append(target)
        elif at < self._later_at.get(target.id, datetime.max.replace(tzinfo=UTC)):
            self._later_at[target.id] = at
            heapq.heappush(self._later, (at, target.id))

    def _target(self, target_id: str, kind: TargetKind, shard: int) -> Target:
        target = self._targets.get(target_id)
        if target is None:
            target = Target(target_id, kind, shard, concurrency=self._concurrency[kind])
            self._targets[target_id] = target
        return target
