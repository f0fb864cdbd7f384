"""Targets that are slowed, and accounts that share a Meta app's limit."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from gateway.db.app_limits import AppDemand, AppLimit
from gateway.db.deliveries import Due
from gateway.db.targets import TargetLimits
from gateway.domain.delivery import DeliveryKind, TargetKind
from gateway.domain.pacing import Pace
from gateway.domain.ramp import CallEnd
from gateway.domain.usage import Usage
from gateway.sender.app_register import decide, our_shares
from gateway.sender.apps import News
from gateway.sender.attempts import Told
from gateway.sender.lanes import Lanes

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def due(number, target, account="a", kind=TargetKind.PAGE):
    return Due(
        id=f"{target}-{number}",
        account_id=account,
        shard=0,
        target_kind=kind,
        target_id=target,
        lane=f"lane{number}",
        ordinal=number,
        kind=DeliveryKind.MESSAGE,
        conversation_id=None,
        message_id=None,
        attempt=0,
        due_at=NOW,
        deadline_at=None,
        created_at=NOW,
    )


def told(target, *, percent=None, refused=False, at=NOW, app_percent=None, app_refused=False):
    return Told(
        target_id=target,
        called_at=at,
        usage=None if percent is None else Usage(percent),
        refused=refused,
        app_id="app",
        app_usage=None if app_percent is None else Usage(app_percent),
        app_refused=app_refused,
    )


class Plan:
    """Pages of accounts behind one app; calls end as they begin."""

    def __init__(self, **backlogs):
        self.lanes = Lanes(slots=1000, concurrency=dict.fromkeys(TargetKind, 50))
        for account, count in backlogs.items():
            self.offer(account, count)

    def offer(self, account, count, *, now=NOW, since=0, **limits):
        page = f"page-{account}"
        dues = [due(since + n, page, account) for n in range(count)]
        self.lanes.offer(dues, now=now)
        known = TargetLimits(target_id=page, account_id=account, app_id="app", **limits)
        self.lanes.limit([known], now=now)

    def share(self, rate, *, now=NOW, **shares):
        self.lanes.share("app", rate, shares, now=now)

    def run(self, seconds, *, since=0.0):
        """Let so many seconds pass; return who called when."""
        calls, now, end = [], at(since), at(since + seconds)
        while now <= end:
            while batch := self.lanes.take(now=now, limit=1000, may=lambda _shard: True):
                for each in batch:
                    calls.append((each.account_id, now))
                    self.lanes.ended(each.id, now=now, end=CallEnd.WELL)
            now = max(self.lanes.next_at() or end, now) + timedelta(milliseconds=1)
        return calls


def counts(calls):
    return Counter(account for account, _ in calls)


def test_a_page_slows_down_from_80_per_cent_on():
    plan = Plan(a=2000)
    before = plan.run(1)
    assert 290 <= len(before) <= 301
    plan.lanes.hear(told("page-a", percent=85), now=at(1))
    assert plan.lanes.slowed_targets == 1
    # Seven tenths of what was called.
    assert 380 <= len(plan.run(2, since=1)) <= 421
    (pace,) = plan.lanes.learnt()
    assert (pace.usage_percent, round(pace.pace.rate)) == (85, 210)


def test_an_endpoint_that_refuses_is_called_half_as_fast():
    lanes = Lanes(slots=1000, concurrency=dict.fromkeys(TargetKind, 50))
    lanes.offer([due(0, "e", kind=TargetKind.ENDPOINT)], now=NOW)
    lanes.limit([TargetLimits(target_id="e", account_id="a")], now=NOW)
    lanes.hear(told("e"), now=NOW)
    assert lanes.learnt() == []
    lanes.hear(told("e", refused=True), now=NOW)
    assert lanes.slowed_targets == 1


def test_what_was_noted_is_not_noted_again_until_it_changes():
    plan = Plan(a=1)
    plan.lanes.hear(told("page-a", percent=30), now=NOW)
    noted = plan.lanes.learnt()
    assert [each.usage_percent for each in noted] == [30]
    plan.lanes.hear(told("page-a", percent=31), now=at(1))
    # It changed while the other was written.
    plan.lanes.noted(noted)
    (newer,) = plan.lanes.learnt()
    plan.lanes.noted([newer])
    plan.lanes.hear(told("page-a", percent=31), now=at(2))
    assert plan.lanes.learnt() == []
    plan.lanes.hear(told("page-a", percent=31), now=at(900))
    assert plan.lanes.learnt() == [newer]


def test_who_takes_over_goes_on_at_the_pace_that_was_learnt():
    plan = Plan()
    pace = Pace(rate=2.0, felt=10.0, percent=90, decided_at=NOW)
    plan.offer("a", 100, pace=pace)
    assert 19 <= len(plan.run(10)) <= 21


def test_an_app_has_enough_for_all_until_it_is_shared():
    assert counts(Plan(a=100, b=100).run(1)) == {"a": 100, "b": 100}


def test_a_flood_leaves_the_others_their_share():
    plan = Plan(flood=3000)
    plan.share(10, flood=7, quiet=3)
    first = plan.run(2)
    assert 14 <= len(first) <= 16
    plan.offer("quiet", 6, now=at(2))
    both = plan.run(2, since=2)
    assert 13 <= counts(both)["flood"] <= 15
    assert counts(both)["quiet"] == 6
    assert next(when for account, when in both if account == "quiet") == at(2)


def test_somebody_new_has_a_share_before_it_was_decided():
    plan = Plan(flood=3000)
    plan.share(10, flood=10)
    plan.run(1)
    plan.offer("new", 20, now=at(1))
    assert 10 <= counts(plan.run(2, since=1))["new"] <= 12


def test_pages_of_an_account_take_turns_at_its_share():
    plan = Plan()
    for page in ("p1", "p2", "p3"):
        plan.lanes.offer([due(n, page) for n in range(50)], now=NOW)
        plan.lanes.limit([TargetLimits(target_id=page, account_id="a", app_id="app")], now=NOW)
    plan.share(6, a=6)
    taken = []
    now = NOW
    while len(taken) < 30:
        for each in plan.lanes.take(now=now, limit=1, may=lambda _shard: True):
            taken.append(each.target_id)
            plan.lanes.ended(each.id, now=now, end=CallEnd.WELL)
        now += timedelta(milliseconds=5)
    assert set(Counter(taken).values()) == {10}


def test_what_was_taken_too_early_uses_up_no_share():
    plan = Plan(a=1)
    plan.share(1, a=1)
    for _ in range(3):
        (taken,) = plan.lanes.take(now=NOW, limit=1, may=lambda _shard: True)
        plan.lanes.put_back(taken, now=NOW)
        plan.lanes.offer([taken], now=NOW)
    assert plan.lanes.demands(now=NOW)[0].made == 0
    assert len(plan.run(0)) == 1
    plan.offer("a", 1, since=1)
    assert plan.run(0.5) == []


def test_calls_that_were_made_before_the_send_are_counted():
    plan = Plan(a=1)
    plan.share(1, a=1)
    plan.lanes.count_call("page-a", now=NOW)
    assert plan.lanes.demands(now=NOW)[0].made == 1
    assert plan.run(0.9) == []
    assert len(plan.run(0.2, since=0.9)) == 1
    plan.lanes.count_call("page-unknown", now=NOW)


def test_all_go_on_as_soon_as_there_is_enough_again():
    plan = Plan(a=500)
    plan.share(1, a=1)
    few = len(plan.run(3))
    assert few <= 4
    plan.share(None, now=at(3))
    assert len(plan.run(3, since=3)) == 500 - few


def test_an_app_that_rests_lets_nothing_through():
    plan = Plan(a=5, b=5)
    plan.lanes.rest_app("app", until=at(60))
    assert plan.run(59) == []
    assert counts(plan.run(5, since=59)) == {"a": 5, "b": 5}


def test_demands_are_what_would_be_sent():
    plan = Plan(a=1, b=100)
    plan.share(2, a=1, b=1)
    plan.run(1)
    by_account = {each.account_id: each for each in plan.lanes.demands(now=at(30))}
    assert (by_account["a"].wanted, by_account["a"].made) == (0, 0)
    assert by_account["b"].wanted > 45
    assert by_account["b"].made == 0


# What is decided for all


def limit(percent=0, rate=None, felt=100.0, decided_at=NOW):
    pace = rate and Pace(rate=rate, felt=felt, percent=percent, decided_at=decided_at)
    return AppLimit(app_id="app", usage_percent=percent, told_at=NOW, pace=pace, rests_until=None)


def news(percent=None, *, refused=False, called_at=NOW):
    heard = News()
    usage = None if percent is None else Usage(percent)
    heard.hear(usage, refused=refused, called_at=called_at)
    return heard


def test_all_together_slow_down_from_80_per_cent_on():
    assert decide(limit(), news(79), calls=50, now=NOW).pace is None
    decided = decide(limit(), news(81), calls=50, now=NOW)
    assert (decided.usage_percent, decided.pace.rate) == (81, 35)
    # What another process decided a moment ago is not decided again.
    assert decide(decided, news(83), calls=50, now=NOW).pace == decided.pace


def test_a_refusal_is_a_limit_that_is_used_up():
    decided = decide(limit(), news(refused=True), calls=50, now=NOW)
    assert (decided.usage_percent, decided.pace.rate) == (100, 25)


def test_what_was_told_an_hour_ago_says_nothing_any_more():
    old = limit(95, rate=1)
    assert decide(old, News(), calls=0, now=at(3000)) == old
    forgotten = decide(old, News(), calls=0, now=at(4000))
    assert (forgotten.usage_percent, forgotten.pace) == (0, None)


def test_the_latest_call_is_believed_and_a_refusal_is_not_forgotten():
    heard = news(90, called_at=at(5))
    heard.hear(Usage(40), refused=True, called_at=at(1))
    assert (heard.usage, heard.refused) == (Usage(90), True)
    heard.hear(Usage(100), refused=False, called_at=at(2))
    assert heard.usage == Usage(100)


def test_an_account_that_calls_from_several_processes_has_one_share():
    wanted = {
        "flood": AppDemand(app_id="app", account_id="flood", wanted=80, made=1),
        "quiet": AppDemand(app_id="app", account_id="quiet", wanted=2, made=1),
    }
    shares = our_shares(limit(85, rate=10), wanted, {"flood": 20.0, "quiet": 2.0})
    assert shares == {"flood": 2.0, "quiet": 2.0}
    assert our_shares(limit(20), wanted, {}) == {}
