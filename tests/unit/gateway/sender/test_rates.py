"""So many calls a second, and no more within any second."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sender.rates import Bucket, Meter

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def passed(bucket, pauses):
    """Let as many through as may go, after each pause; return when they went."""
    now, gone = NOW, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        while bucket.free_at(now) <= now:
            bucket.take(now)
            gone.append(now)
    return gone


@given(st.integers(1, 1000), st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_within_any_second_there_are_no_more_than_the_rate(rate, pauses):
    gone = passed(Bucket(rate), pauses)
    for first, beyond in zip(gone, gone[rate:], strict=False):
        assert beyond - first >= timedelta(seconds=1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 7, 20, 300, 1000])
def test_the_rate_is_reached(rate):
    bucket, now, gone, end = Bucket(rate), NOW, 0, at(30)
    while now < end:
        free_at = bucket.free_at(now)
        if free_at <= now:
            bucket.take(now)
            gone += 1
        else:
            now = free_at
    assert 30 * rate * 0.97 <= gone <= 30 * rate + 1


def test_who_has_used_it_up_comes_back_for_several_at_once():
    bucket = Bucket(200)
    while bucket.free_at(NOW) <= NOW:
        bucket.take(NOW)
    back = bucket.free_at(NOW)
    assert at(0.05) <= back < at(0.06)
    # Four could go, and would keep a claim busy each.
    assert bucket.free_at(at(0.02)) == back
    gone = 0
    while bucket.free_at(back) <= back:
        bucket.take(back)
        gone += 1
    assert gone == 10


def test_another_rate_is_kept_from_then_on():
    bucket = Bucket(100)
    assert bucket.free_at(NOW) == NOW
    bucket.change(2)
    gone = passed(bucket, [0.1] * 50)
    assert all(after - before >= timedelta(seconds=0.5) for before, after in pairwise(gone))
    assert len(gone) >= 9


def test_a_meter_tells_what_was_called_lately():
    meter = Meter()
    assert meter.rate(NOW) == 0
    for tenth in range(100):
        meter.count(at(tenth / 10))
    assert meter.rate(at(10)) == pytest.approx(10, rel=0.1)
    # Slower since: it is noticed within ten seconds, and silence too.
    for second in range(10, 20):
        meter.count(at(second))
    assert meter.rate(at(20)) == pytest.approx(1, rel=0.1)
    assert meter.rate(at(60)) == 0
