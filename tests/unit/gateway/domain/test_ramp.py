"""Slow start: what a target is sent while it is new, sick or has just healed."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ramp import FIRST_RATE, FULL_RATE, OUTAGE_FAILURES, CallEnd, Ramp

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMIT = 50


def after(ramp, *ends, now=NOW, limit=LIMIT):
    for end in ends:
        ramp = ramp.after_call(end, limit=limit, now=now)
    return ramp


def test_calls_at_once_double_with_each_round_up_to_the_limit():
    ramp, rounds = Ramp(1), []
    for _ in range(8):
        rounds.append(ramp.allowed)
        ramp = after(ramp, *[CallEnd.WELL] * ramp.allowed)
    assert rounds == [1, 2, 4, 8, 16, 32, 50, 50]
    assert ramp.rate is None


def test_a_hang_leaves_one_call_at_a_time():
    assert after(Ramp(50), CallEnd.HUNG).allowed == 1
    assert after(Ramp(50), CallEnd.HUNG).rate is None


def test_failures_on_end_are_an_outage_and_single_ones_are_not():
    few = [CallEnd.FAILED] * (OUTAGE_FAILURES - 1)
    assert after(Ramp(50), *few, CallEnd.WELL, *few).allowed == 50
    out = after(Ramp(50), *few, CallEnd.FAILED)
    assert (out.allowed, out.rate) == (1, FIRST_RATE)


def test_after_an_outage_the_rate_doubles_with_each_second_of_good_calls():
    ramp, rates = Ramp.after_outage(NOW), []
    for second in range(9):
        ramp = after(ramp, CallEnd.WELL, CallEnd.WELL, now=NOW + timedelta(seconds=second))
        rates.append(ramp.rate)
    assert rates == [10, 20, 40, 80, 160, 320, 640, None, None]


def test_a_relapse_starts_over():
    grown = after(Ramp.after_outage(NOW), *[CallEnd.WELL] * 20, now=NOW + timedelta(seconds=1))
    assert grown.allowed > 10
    ill = after(grown, *[CallEnd.FAILED] * OUTAGE_FAILURES)
    assert (ill.allowed, ill.rate) == (1, FIRST_RATE)


def test_a_lower_limit_does_not_take_what_is_allowed_but_lets_nothing_grow():
    assert after(Ramp(20), CallEnd.WELL, limit=10).allowed == 20


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from(CallEnd), st.floats(0, 3)), max_size=100),
)
def test_a_target_always_has_a_call_and_never_too_many(limit, story):
    ramp, now = Ramp(1), NOW
    for end, pause in story:
        now += timedelta(seconds=pause)
        before, ramp = ramp, ramp.after_call(end, limit=limit, now=now)
        assert 1 <= ramp.allowed <= limit
        assert ramp.allowed <= before.allowed + 1
        assert ramp.rate is None or FIRST_RATE <= ramp.rate < FULL_RATE
