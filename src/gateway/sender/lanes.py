"""What may leave next: targets in fair turn, one at a time in each lane, slow targets apart.

Kept in memory by the process that owns the shards; nothing here waits or speaks to anybody. Whoever
is not allowed now has a due time, so that no slot is ever spent on waiting.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway.db.app_limits import AppDemand
from gateway.db.deliveries import Due
from gateway.db.lanes import Lane
from gateway.db.leases import RENEW_SECONDS
from gateway.db.paces import TargetPace
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import TargetKind
from gateway.domain.ramp import CallEnd
from gateway.sender.agenda import Agenda
from gateway.sender.apps import Apps, Portion
from gateway.sender.attempts import Told
from gateway.sender.metrics import PACE
from gateway.sender.targets import Target

SLOW_SHARE: Final = 0.25
# Targets with nothing to do are forgotten after this; what they learnt is in the database.
_FORGET_AFTER: Final = timedelta(seconds=60)
# How often those that wait for their account's share of an app are looked at, at most.
_SHARE_STEP: Final = timedelta(milliseconds=10)


class Lanes:
    """The sender's plan: candidates come in, those that may leave now come out.

    A candidate that came out is in flight until `ended`; its lane sends nothing else meanwhile.
    """

    def __init__(self, *, slots: int, concurrency: Mapping[TargetKind, int]) -> None:
        """Take how many calls may run at once, and how many at one target by its kind."""
        self._slots = slots
        self._slow_slots = max(1, int(slots * SLOW_SHARE))
        self._concurrency = concurrency
        self.apps = Apps()
        self._targets: dict[str, Target] = {}
        # Targets in turn: those that are well, and those whose last call hung.
        self._well: deque[Target] = deque()
        self._slow: deque[Target] = deque()
        self._in_turn: set[str] = set()
        # When targets that may send nothing now come into turn again, and when portions do.
        self._later = Agenda()
        # Targets that wait for their account's portion of an app, in turn.
        self._for_portion: dict[str, deque[Target]] = defaultdict(deque)
        self._more: dict[str, int] = {}
        # Targets of whose limits something was learnt that is not noted yet.
        self._learnt: set[str] = set()
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
    def slowed_targets(self) -> int:
        """How many targets are called slower for their limit's sake."""
        return sum(target.pace is not None for target in self._targets.values())

    def resting_targets(self, *, now: datetime) -> int:
        """Return how many targets with work asked not to be called for now."""
        return sum(len(target) > 0 and target.rests(now) for target in self._targets.values())

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
                if each.app_id is not None:
                    target.portion = self.apps.portion(each.app_id, each.account_id)
                    if each.app_rests_until is not None:
                        target.rest(each.app_rests_until)
                self._queue(target, now)

    def rest(self, target_id: str, *, until: datetime) -> None:
        """Send a target nothing before a moment."""
        target = self._targets.get(target_id)
        if target is not None:
            target.rest(until)

    def rest_app(self, app_id: str, *, until: datetime) -> None:
        """Send nothing through a Meta app before a moment."""
        for target in self._targets.values():
            if target.portion is not None and target.portion.app_id == app_id:
                target.rest(until)

    def hear(self, told: Told, *, now: datetime) -> None:
        """Take in what a call told of its target's limits and its app's."""
        target = self._targets.get(told.target_id)
        if target is not None and target.hear(
            told.usage, refused=told.refused, called_at=told.called_at, now=now
        ):
            self._learnt.add(target.id)
            if target.pace is not None:
                PACE.labels(target.kind).observe(target.pace.rate)
        if told.app_id is not None:
            self.apps.app(told.app_id).news.hear(
                told.app_usage, refused=told.app_refused, called_at=told.called_at
            )

    def share(
        self, app_id: str, rate: float | None, shares: Mapping[str, float], *, now: datetime
    ) -> None:
        """Share a Meta app's limit among accounts; `rate` None: there is enough for all.

        `shares` has, by account, how many calls a second this sender may make for them.
        """
        self.apps.share(app_id, rate, shares)
        for portion in self.apps.portions:
            if portion.app_id == app_id and self._for_portion.get(portion.key):
                self._later.note(portion.key, now)

    def demands(self, *, now: datetime) -> list[AppDemand]:
        """Return what would be sent through Meta apps for each account, were there no limits."""
        waiting: Counter[str] = Counter()
        for target in self._targets.values():
            if target.portion is not None and not target.rests(now):
                waiting[target.portion.key] += len(target)
        return [
            AppDemand(
                app_id=each.app_id,
                account_id=each.account_id,
                wanted=each.meter.rate(now) + waiting[each.key] / RENEW_SECONDS,
                made=each.meter.rate(now),
            )
            for each in self.apps.portions
        ]

    def learnt(self) -> list[TargetPace]:
        """Return what was learnt of targets' limits and not noted yet."""
        targets = (self._targets.get(target_id) for target_id in self._learnt)
        return [
            TargetPace(
                account_id=target.account_id,
                target_id=target.id,
                usage_percent=target.usage_percent,
                pace=target.pace,
            )
            for target in targets
            if target is not None and target.account_id
        ]

    def noted(self, paces: Iterable[TargetPace]) -> None:
        """Forget what was noted, unless it has changed since."""
        for each in paces:
            target = self._targets.get(each.target_id)
            if target is None or (target.usage_percent, target.pace) == (
                each.usage_percent,
                each.pace,
            ):
                self._learnt.discard(each.target_id)

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
        self._free(target, lane, delivery_id, now)

    def put_back(self, due: Due, *, now: datetime) -> None:
        """Count a delivery that was taken as one that was not; it has to be offered again."""
        entry = self._in_flight.pop(due.id, None)
        if entry is None:
            return
        target, lane, counted_slow = entry
        self._slow_in_flight -= counted_slow
        target.put_back(due)
        self._free(target, lane, due.id, now)

    def count_call(self, target_id: str, *, now: datetime) -> None:
        """Count a call that was made for a delivery before its own."""
        target = self._targets.get(target_id)
        if target is not None:
            target.count_call(now)

    def _free(self, target: Target, lane: Lane, delivery_id: str, now: datetime) -> None:
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
            idle = not (len(target) or target.in_flight or target.slow)
            if idle and not fresh and not target.rests(now):
                del self._targets[target.id]
        self._learnt &= self._targets.keys()
        used = (target.portion for target in self._targets.values())
        self.apps.keep({each.key for each in used if each is not None} | self._for_portion.keys())

    def next_at(self) -> datetime | None:
        """Return when a due time comes that nothing else will announce."""
        return self._later.next_at()

    def _recall(self, now: datetime) -> None:
        for key in self._later.due(now):
            if (target := self._targets.get(key)) is not None:
                self._queue(target, now)
            elif (portion := self.apps.by_key(key)) is not None:
                self._release(portion, now)

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
        if target.portion is not None and (free_at := target.portion.free_at(now)) > now:
            self._in_turn.add(target.id)
            self._for_portion[target.portion.key].append(target)
            self._later.note(target.portion.key, free_at)
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
        else:
            self._later.note(target.id, at)

    def _release(self, portion: Portion, now: datetime) -> None:
        """Bring those into turn that waited for their account's portion and may call now."""
        waiting = self._for_portion[portion.key]
        for _ in range(portion.free(now, len(waiting))):
            target = waiting.popleft()
            self._in_turn.discard(target.id)
            self._queue(target, now)
        if waiting:
            self._later.note(portion.key, max(portion.free_at(now), now + _SHARE_STEP))
        else:
            del self._for_portion[portion.key]

    def _target(self, target_id: str, kind: TargetKind, shard: int) -> Target:
        target = self._targets.get(target_id)
        if target is None:
            target = Target(target_id, kind, shard, concurrency=self._concurrency[kind])
            self._targets[target_id] = target
        return target
