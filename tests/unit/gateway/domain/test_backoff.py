"""The waits between attempts."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.backoff import (
    LONGEST_ASKED,
    MESSAGE_SCHEDULE,
    RETRY_AFTER_LIMIT,
    endpoint_schedule,
    parse_retry_after,
)
from gateway.settings import Settings

PUBLISHED = (4, 56, 240, 1500, 5400, 14400, 36000, 86400, 115200)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
seeds = st.integers(0, 2**32)
waits = st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=60))


@given(seeds, st.integers(1, 9), waits)
def test_waits_stay_within_a_fifth_and_never_undercut_the_peer(seed, attempt, asked):
    schedule = endpoint_schedule(PUBLISHED)
    wait = schedule.wait_after(attempt, retry_after=asked, chance=random.Random(seed))
    base = timedelta(seconds=PUBLISHED[attempt - 1])
    floor = min(asked or timedelta(), RETRY_AFTER_LIMIT)
    assert wait >= max(base * 0.8, floor) - timedelta(microseconds=1)
    assert wait <= max(base * 1.2, floor) + timedelta(microseconds=1)


@given(seeds)
def test_the_first_retry_comes_within_five_seconds(seed):
    schedule = endpoint_schedule(PUBLISHED)
    wait = schedule.wait_after(1, retry_after=None, chance=random.Random(seed))
    # A second is left for the attempt to start.
    assert timedelta(seconds=3) <= wait <= timedelta(seconds=4)


def test_the_schedule_has_ten_attempts_over_three_days():
    schedule = endpoint_schedule(PUBLISHED)
    assert schedule.wait_after(10, retry_after=None, chance=random.Random(1)) is None
    assert schedule.wait_after(10, retry_after=timedelta(1), chance=random.Random(1)) is None
    assert sum(PUBLISHED) == timedelta(hours=72).total_seconds()
    assert Settings.model_fields["endpoint_retry_seconds"].default == PUBLISHED


@given(seeds, st.integers(1, 1000))
def test_messages_are_tried_at_least_each_six_minutes(seed, attempt):
    wait = MESSAGE_SCHEDULE.wait_after(attempt, retry_after=None, chance=random.Random(seed))
    assert timedelta(seconds=4) <= wait <= timedelta(seconds=360)


@pytest.mark.parametrize(
    ("values", "wait"),
    [
        ([], None),
        (["0"], timedelta()),
        (["120"], timedelta(seconds=120)),
        ([" 120 "], timedelta(seconds=120)),
        (["1000000000"], LONGEST_ASKED),
        (["9" * 5000], LONGEST_ASKED),
        (["-5"], None),
        (["1.5"], None),
        (["soon"], None),
        ([""], None),
        (["٣"], None),
        (["5", "60"], timedelta(seconds=60)),
        (["garbage", "60"], timedelta(seconds=60)),
        ([format_datetime(NOW + timedelta(minutes=3), usegmt=True)], timedelta(minutes=3)),
        ([format_datetime(NOW - timedelta(minutes=3), usegmt=True)], None),
        (["Wed, 99 Foo 9999 99:99:99 GMT"], None),
        (["Mon, 02 Mar 2026 12:03:00"], timedelta(minutes=3)),
    ],
)
def test_forms_of_retry_after(values, wait):
    assert parse_retry_after(values, now=NOW) == wait


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_retry_after_is_too_odd(values):
    wait = parse_retry_after(values, now=NOW)
    assert wait is None or wait >= timedelta()
