"""Down by a factor, up little by little; never met twice for one reason."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.pacing import LEAST_RATE, Pace, Sign, decide_pace

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def sign(seconds, percent=0, *, calls=10.0, refused=False, resumes=None):
    return Sign(
        percent=percent,
        refused=refused,
        calls=calls,
        called_at=at(seconds),
        resumes_at=at(seconds if resumes is None else resumes),
    )


def follow(*signs, ceiling=None):
    pace = None
    for each in signs:
        pace = decide_pace(pace, each, ceiling=ceiling)
    return pace


def test_nothing_is_slowed_below_80_per_cent():
    assert decide_pace(None, sign(0, 79)) is None


def test_calls_slow_down_before_the_limit_and_not_after_it():
    pace = decide_pace(None, sign(0, 80), ceiling=300)
    # What was really called is slowed, not what might have been.
    assert pace == Pace(rate=7.0, felt=10.0, percent=80, decided_at=NOW)
    pace = decide_pace(pace, sign(2, 84))
    assert pace is not None
    assert pace.rate == pytest.approx(4.9)


def test_a_usage_that_stands_or_falls_asks_for_no_more():
    first = follow(sign(0, 85))
    assert follow(sign(0, 85), sign(2, 85), sign(4, 82)).rate == first.rate


def test_a_refusal_halves_the_pace_once_for_all_calls_under_way():
    pace = follow(sign(0, refused=True), sign(0.5, refused=True), sign(-3, refused=True))
    assert pace.rate == 5.0
    assert follow(sign(0, refused=True), sign(2, refused=True, calls=5.0)).rate == 2.5


def test_it_is_regained_little_by_little_and_then_forgotten():
    signs = [sign(0, refused=True), *(sign(second) for second in range(2, 120, 2))]
    rates = [follow(*signs[:n]) for n in range(1, len(signs))]
    steps = [pace.rate for pace in rates if pace is not None]
    gains = [after - before for before, after in pairwise(steps)]
    assert gains == pytest.approx([10.0 / 60 * 2] * len(gains))
    # From half of what was felt to twice as much: a minute and a half.
    assert rates[-1] is None
    assert len(steps) in (45, 46)


def test_the_pace_never_passes_the_ceiling():
    pace = follow(sign(0, refused=True, calls=300), ceiling=300)
    assert pace.rate == 150
    assert decide_pace(pace, sign(20), ceiling=300).rate == 250
    assert decide_pace(pace, sign(30), ceiling=300) is None


def test_a_rest_is_no_time_in_which_anything_was_regained():
    pace = follow(sign(0, refused=True, resumes=600))
    assert decide_pace(pace, sign(599)) == pace
    assert decide_pace(pace, sign(603)).rate == pytest.approx(5.5)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 100),
            st.integers(0, 150),
            st.booleans(),
            st.floats(0, 1000, allow_nan=False),
        ),
        max_size=60,
    )
)
def test_a_pace_is_always_a_pace(told):
    pace, seconds = None, 0.0
    for pause, percent, refused, calls in told:
        seconds += pause
        pace = decide_pace(pace, sign(seconds, percent, calls=calls, refused=refused), ceiling=300)
        if pace is not None:
            assert LEAST_RATE <= pace.rate <= max(1000.0, LEAST_RATE)
            assert pace.rate < 2 * pace.felt + LEAST_RATE
