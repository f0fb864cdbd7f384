"""What may leave next: fair turns, one at a time in a lane, slow targets apart."""

import heapq
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.db.deliveries import Due
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import DeliveryKind, TargetKind
from gateway.domain.ramp import CallEnd
from gateway.domain.verdict import OVERDUE
from gateway.sender.lanes import Lanes
from gateway.sender.rates import Bucket

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def due(number, target="t", lane=None, *, kind=TargetKind.ENDPOINT, at=NOW, shard=0, **more):
    return Due(
        **{
            "id": f"d{number}",
            "account_id": "a",
            "shard": shard,
            "target_kind": kind,
            "target_id": target,
            "lane": lane or f"lane{number}",
            "ordinal": number,
            "kind": DeliveryKind.EVENT,
            "conversation_id": None,
            "message_id": None,
            "attempt": 0,
            "due_at": at,
            "deadline_at": None,
            "created_at": NOW,
            **more,
        }
    )


def lanes(slots=1000, concurrency=50):
    return Lanes(slots=slots, concurrency=dict.fromkeys(TargetKind, concurrency))


def take(plan, *, now=NOW, limit=1000, may=lambda _shard: True):
    return plan.take(now=now, limit=limit, may=may)


def prove(plan, target, times=50):
    """Let a target answer a few calls, so that it may have as many as its limit says."""
    for n in range(times):
        plan.offer([due(10_000 + n, target)], now=NOW)
        (one,) = take(plan)
        plan.ended(one.id, now=NOW, end=CallEnd.WELL)


def test_targets_take_turns():
    plan = lanes(slots=6)
    for target in ("a", "b", "c"):
        prove(plan, target)
    # One target's backlog came first; it does not go first.
    plan.offer([due(n, "a") for n in range(50)], now=NOW)
    plan.offer([due(100 + n, "b") for n in range(2)], now=NOW)
    plan.offer([due(200 + n, "c") for n in range(2)], now=NOW)
    taken = [each.target_id for each in take(plan)]
    assert Counter(taken) == {"a": 2, "b": 2, "c": 2}
    assert set(taken[:3]) == {"a", "b", "c"}


def test_a_lane_has_one_in_flight_and_goes_by_its_order():
    plan = lanes()
    prove(plan, "t")
    plan.offer([due(2, lane="x"), due(1, lane="x"), due(3, lane="y")], now=NOW)
    assert {each.id for each in take(plan)} == {"d1", "d3"}
    plan.ended("d1", now=NOW, end=CallEnd.WELL)
    assert [each.id for each in take(plan)] == ["d2"]


def test_known_and_running_deliveries_are_not_taken_in_again():
    plan = lanes()
    plan.offer([due(1), due(1)], now=NOW)
    (one,) = take(plan)
    plan.offer([due(1)], now=NOW)
    plan.ended(one.id, now=NOW, end=CallEnd.WELL)
    assert take(plan) == []


def test_a_new_endpoint_proves_itself_before_it_gets_many_slots():
    plan = lanes(concurrency=10)
    plan.offer([due(n) for n in range(40)], now=NOW)
    sizes = []
    for _ in range(5):
        batch = take(plan)
        sizes.append(len(batch))
        for each in batch:
            plan.ended(each.id, now=NOW, end=CallEnd.WELL)
    assert sizes == [1, 2, 4, 8, 10]


def test_a_target_that_hangs_falls_to_one_call_and_ramps_up_when_it_heals():
    plan = lanes(concurrency=10)
    prove(plan, "t")
    plan.offer([due(n) for n in range(40)], now=NOW)
    batch = take(plan)
    assert len(batch) == 10
    for each in batch:
        plan.ended(each.id, now=NOW, end=CallEnd.HUNG)
    assert plan.slow_targets == 1
    (one,) = take(plan)
    plan.ended(one.id, now=NOW, end=CallEnd.WELL)
    assert plan.slow_targets == 0
    assert sum(calls_by_second(plan, seconds=1)) in (9, 10)


def test_a_target_that_fails_time_and_again_is_called_less_and_less():
    plan = lanes(concurrency=10)
    prove(plan, "t")
    plan.offer([due(n) for n in range(100)], now=NOW)
    batch = take(plan)
    for each in batch:
        plan.ended(each.id, now=NOW, end=CallEnd.FAILED)
    assert plan.slow_targets == 0
    assert len(take(plan, now=NOW)) == 1


def test_now_and_then_a_failure_slows_nothing():
    plan = lanes(concurrency=10)
    prove(plan, "t")
    plan.offer([due(n) for n in range(100)], now=NOW)
    for n in range(9):
        for place, each in enumerate(take(plan)):
            end = CallEnd.FAILED if place == n else CallEnd.WELL
            plan.ended(each.id, now=NOW, end=end)
    assert len(take(plan)) == 10


def test_what_could_not_leave_for_long_leaves_slowly_at_first():
    plan = lanes(concurrency=50)
    now = NOW + timedelta(minutes=10)
    plan.offer([due(n) for n in range(1000)], now=now)
    assert calls_by_second(plan, now=now, seconds=5) == pytest.approx(
        [10, 20, 40, 80, 160], rel=0.1
    )


def test_a_retry_that_is_due_is_no_backlog():
    plan = lanes(concurrency=50)
    now = NOW + timedelta(minutes=10)
    plan.offer([due(n, attempt=1) for n in range(1000)], now=now)
    assert sum(calls_by_second(plan, now=now, seconds=1)) == 1000


def test_a_healed_target_with_a_backlog_delays_no_other():
    """A backlog drains at its target's limit; each call of the others leaves when it comes."""
    plan = lanes(slots=200, concurrency=10)
    plan.offer([due(n, "healed") for n in range(5000)], now=NOW)
    ends, now, number, late = [], NOW, 10_000, 0
    while now < NOW + timedelta(seconds=10):
        while ends and ends[0][0] <= now:
            plan.ended(heapq.heappop(ends)[1], now=now, end=CallEnd.WELL)
        fresh = [due(number + n, f"other{(number + n) % 100}", at=now) for n in range(20)]
        number += 20
        plan.offer(fresh, now=now)
        taken = take(plan, now=now)
        late += len({each.id for each in fresh} - {each.id for each in taken})
        for one in taken:
            heapq.heappush(ends, (now + timedelta(milliseconds=50), one.id))
        now += timedelta(milliseconds=50)
    assert late == 0
    assert plan.waiting <= 5000 - 10 * 190


def calls_by_second(plan, *, now=NOW, seconds):
    """Answer every call at once and return how many left in each second."""
    counts = []
    for second in range(seconds):
        count, at = 0, now + timedelta(seconds=second)
        until = at + timedelta(seconds=1)
        while at < until:
            for each in take(plan, now=at):
                count += 1
                plan.ended(each.id, now=at, end=CallEnd.WELL)
            at += timedelta(milliseconds=1)
        counts.append(count)
    return counts


def test_slow_targets_have_a_quarter_of_the_slots_and_the_well_ones_the_rest():
    plan = lanes(slots=20)
    for n in range(20):
        plan.offer([due(n, f"slow{n}")], now=NOW)
    for each in take(plan):
        plan.ended(each.id, now=NOW, end=CallEnd.HUNG)
    for n in range(20):
        plan.offer([due(100 + n, f"slow{n}"), due(200 + n, f"slow{n}")], now=NOW)
    plan.offer([due(300 + n, f"well{n}") for n in range(30)], now=NOW)
    taken = Counter(each.target_id[:4] for each in take(plan))
    assert taken == {"slow": 5, "well": 15}


def test_slow_targets_do_not_starve_either():
    plan = lanes(slots=4)
    plan.offer([due(0, "slow")], now=NOW)
    plan.ended(take(plan)[0].id, now=NOW, end=CallEnd.HUNG)
    plan.offer([due(1, "slow")], now=NOW)
    plan.offer([due(100 + n, f"well{n}") for n in range(100)], now=NOW)
    seen = []
    for _ in range(10):
        for each in take(plan, limit=1):
            seen.append(each.target_id)
            plan.ended(each.id, now=NOW, end=CallEnd.WELL)
    assert "slow" in seen


def test_a_due_time_is_kept_to_the_moment():
    plan = lanes()
    later = NOW + timedelta(seconds=3)
    plan.offer([due(1, at=later)], now=NOW)
    assert take(plan) == []
    assert plan.next_at() == later
    assert take(plan, now=later - timedelta(milliseconds=1)) == []
    assert [each.id for each in take(plan, now=later)] == ["d1"]


def test_a_target_rests_as_long_as_it_was_told_to():
    plan = lanes()
    plan.offer([due(1)], now=NOW)
    plan.rest("t", until=NOW + timedelta(seconds=30))
    assert take(plan) == []
    assert plan.next_at() == NOW + timedelta(seconds=30)
    assert take(plan, now=NOW + timedelta(seconds=30))


def test_a_rest_that_its_owner_ended_is_over():
    plan = lanes()
    plan.offer([due(1)], now=NOW)
    rest = NOW + timedelta(days=3)
    plan.rest("t", until=rest)
    # Read before the rest was written, and after.
    for until in (None, rest):
        plan.limit([TargetLimits(account_id="a", target_id="t", rests_until=until)], now=NOW)
        assert take(plan) == []
    plan.limit([TargetLimits(account_id="a", target_id="t")], now=NOW)
    assert take(plan)


def test_a_message_that_comes_too_late_is_let_fail_while_its_target_rests():
    plan = lanes()
    deadline = NOW + timedelta(minutes=1)
    plan.offer(
        [due(1, deadline_at=deadline), due(2, deadline_at=deadline + timedelta(hours=2))], now=NOW
    )
    plan.rest("t", until=NOW + timedelta(hours=1))
    assert take(plan, now=deadline + OVERDUE) == []
    assert plan.next_at() == deadline + OVERDUE + timedelta(milliseconds=1)
    assert [each.id for each in take(plan, now=plan.next_at())] == ["d1"]


def test_rates_are_due_times():
    plan = lanes(concurrency=1000)
    prove(plan, "t", times=60)
    plan.offer([due(n) for n in range(100)], now=NOW)
    plan.limit([TargetLimits(account_id="a", target_id="t", concurrency=1000, rate=20)], now=NOW)
    sent, now = 0, NOW
    while now < NOW + timedelta(seconds=3):
        for each in take(plan, now=now):
            sent += 1
            plan.ended(each.id, now=now, end=CallEnd.WELL)
        at = plan.next_at()
        assert at is None or at > now
        now = at or now + timedelta(seconds=1)
    assert 60 <= sent <= 63


def test_video_to_a_page_is_limited_more_than_text():
    plan = lanes(concurrency=1000)
    videos = [
        due(n, "p", kind=TargetKind.PAGE, content_type="video", attempt=0) for n in range(100)
    ]
    plan.offer(videos, now=NOW)
    sent, now = 0, NOW
    while now < NOW + timedelta(seconds=2):
        for each in take(plan, now=now):
            sent += 1
            plan.ended(each.id, now=now, end=CallEnd.WELL)
        now = plan.next_at() or now + timedelta(seconds=1)
    assert 20 <= sent <= 22


def test_actions_wait_for_nothing_and_hold_nothing_up():
    plan = lanes()
    typing = replace(due(1, "p", kind=TargetKind.PAGE), kind=DeliveryKind.ACTION)
    messages = [due(n, "p", kind=TargetKind.PAGE) for n in range(2, 5)]
    plan.offer([typing, *messages], now=NOW)
    assert [each.id for each in take(plan, limit=4)] == ["d2", "d3", "d4", "d1"]


def test_shards_that_are_not_safe_start_nothing_and_come_back():
    plan = lanes()
    plan.offer([due(1, shard=7)], now=NOW)
    assert take(plan, may=lambda _shard: False) == []
    plan.offer([due(1, shard=7)], now=NOW)
    assert take(plan, may=lambda shard: shard == 7)


def test_shards_that_are_lost_are_forgotten():
    plan = lanes()
    plan.offer([due(1, shard=7), due(2, "u", shard=8)], now=NOW)
    plan.forget([7])
    assert [each.id for each in take(plan)] == ["d2"]
    plan.offer([due(1, shard=7)], now=NOW)
    assert [each.id for each in take(plan)] == ["d1"]


def test_calls_of_another_process_keep_their_lane_and_place():
    plan = lanes(concurrency=1)
    plan.occupy("foreign", TargetKind.ENDPOINT, 0, ("t", "x"))
    plan.offer([due(1, lane="x"), due(2, lane="y")], now=NOW)
    assert take(plan) == []
    plan.ended("foreign", now=NOW, end=None)
    assert len(take(plan)) == 1
    assert plan.count_in_flight([0], but=()) == 1


def test_a_target_with_more_than_is_known_asks_for_it_in_time():
    plan = lanes()
    prove(plan, "t")
    plan.offer([due(n, shard=3) for n in range(10)], now=NOW, page=10)
    assert plan.hungry() == set()
    take(plan, limit=6)
    assert plan.hungry() == {0}
    assert plan.hungry() == set()


def test_idle_targets_are_forgotten_in_time():
    plan = lanes()
    plan.offer([due(1)], now=NOW)
    plan.limit([TargetLimits(account_id="a", target_id="t")], now=NOW)
    plan.ended(take(plan)[0].id, now=NOW, end=CallEnd.WELL)
    plan.tidy(now=NOW)
    assert plan.need_limits(["t"], older_than=NOW - timedelta(seconds=1)) == []
    plan.tidy(now=NOW + timedelta(minutes=2))
    assert plan.need_limits(["t"], older_than=NOW - timedelta(seconds=1)) == ["t"]


@given(st.floats(0.5, 500), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_a_bucket_never_lets_more_through_than_its_rate(rate, pauses):
    bucket, now, passed = Bucket(rate), NOW, 0
    for pause in pauses:
        now += timedelta(seconds=pause)
        while bucket.free_at(now) <= now:
            bucket.take(now)
            passed += 1
    elapsed = (now - NOW).total_seconds()
    assert passed <= elapsed * rate + bucket.capacity + 1


class Traffic(RuleBasedStateMachine):
    """Whatever comes and goes: no lane twice, no slot too many, nothing lost."""

    SLOTS = 12

    def __init__(self):
        super().__init__()
        self.plan = lanes(slots=self.SLOTS, concurrency=4)
        self.now = NOW
        self.number = 0
        self.offered = {}
        self.flying = {}
        self.slow = set()

    @rule(where=st.integers(0, 5), lane=st.integers(0, 2), wait=st.integers(0, 3))
    def offer(self, where, lane, wait):
        self.number += 1
        one = due(
            self.number,
            f"t{where}",
            f"l{lane}",
            at=self.now + timedelta(seconds=wait),
            shard=where % 2,
        )
        self.offered[one.id] = one
        self.plan.offer([one], now=self.now)

    @rule()
    def take(self):
        for one in take(self.plan, now=self.now):
            assert one.id in self.offered
            assert one.due_at <= self.now
            assert (one.target_id, one.lane) not in {
                (each.target_id, each.lane) for each in self.flying.values()
            }
            self.flying[one.id] = self.offered.pop(one.id)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), end=st.sampled_from([None, *CallEnd]))
    def end(self, data, end):
        one = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        self.plan.ended(one.id, now=self.now, end=end)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @invariant()
    def bounded(self):
        assert len(self.flying) <= self.SLOTS
        per_target = Counter(each.target_id for each in self.flying.values())
        assert all(count <= 4 for count in per_target.values())
        assert self.plan.waiting == len(self.offered)

    def teardown(self):
        # Everything leaves in the end.
        for _ in range(60):
            self.now += timedelta(seconds=1)
            for one in list(self.flying.values()):
                self.plan.ended(one.id, now=self.now, end=CallEnd.WELL)
            self.flying.clear()
            self.take()
        assert self.offered == {}


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize(("hanging", "draw"), [(100, 0.2), (500, 0.5)])
def test_hanging_targets_leave_the_healthy_ones_alone(hanging, draw):
    """Some of 10,000 targets hang for 10 s and draw much of the traffic, as a simulation."""
    chance = random.Random(hanging)
    plan = lanes(slots=1000, concurrency=10)
    ends, now, number = [], NOW, 0
    arrived, latencies, offered_healthy = {}, [], 0
    step = timedelta(milliseconds=50)
    while now < NOW + timedelta(seconds=40):
        for _ in range(20):
            number += 1
            hangs = chance.random() < draw
            well = 10_000 - hanging
            target = f"bad{chance.randrange(hanging)}" if hangs else f"good{chance.randrange(well)}"
            one = due(number, target, at=now)
            if not hangs:
                arrived[one.id] = now
                offered_healthy += 1
            plan.offer([one], now=now)
        while ends and ends[0][0] <= now:
            _, delivery_id, hung = heapq.heappop(ends)
            plan.ended(delivery_id, now=now, end=CallEnd.HUNG if hung else CallEnd.WELL)
        for one in take(plan, now=now):
            hangs = one.target_id.startswith("bad")
            heapq.heappush(ends, (now + (timedelta(seconds=10) if hangs else step), one.id, hangs))
            if not hangs:
                latencies.append(now - arrived.pop(one.id))
        now += step
    assert len(latencies) == offered_healthy
    latencies.sort()
    assert latencies[int(len(latencies) * 0.99)] <= timedelta(seconds=1)
