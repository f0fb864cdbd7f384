from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.moments import (
    as_moment,
    from_rfc3339,
    moment_text,
    rfc3339,
    whole_milliseconds,
)

ELEVEN = datetime(2026, 11, 21, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        1795258800000,
        "1795258800000",
        1795258800,
        "1795258800",
        1795258800.0,
        "1795258800.0",
        1795258800000.0,
        "2026-11-21T11:00:00Z",
        "2026-11-21T11:00:00.000+00:00",
        "2026-11-21T12:00:00+0100",
    ],
    ids=repr,
)
def test_a_moment_is_read_from_whatever_sources_send(value):
    assert as_moment(value) == ELEVEN
    assert moment_text(value) == "2026-11-21T11:00:00.000Z"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "soon",
        "nan",
        "inf",
        "1e999",
        float("nan"),
        float("inf"),
        -1,
        0,
        1,
        -1795258800,
        10**600,
        -(10**601),
        10**30,
        "9" * 600,
        253402300800000,
        1000,
        "2003-12-31T00:00:00Z",
        "2026-11-21T11:00:00",
        "0001-01-01T00:00:00+14:00",
        [],
        {},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_moment_or_absurd_is_none(value):
    assert as_moment(value) is None
    assert moment_text(value) is None


def test_seconds_end_where_milliseconds_begin():
    assert as_moment(1_075_852_800) == datetime(2004, 2, 4, tzinfo=UTC)
    assert as_moment(1_075_852_800_000) == datetime(2004, 2, 4, tzinfo=UTC)
    assert as_moment(1_075_852_799) is None


def test_moments_are_written_in_utc_with_milliseconds():
    summer = timezone(timedelta(hours=2))
    assert rfc3339(datetime(2026, 7, 1, 1, 2, 3, 4567, summer)) == "2026-06-30T23:02:03.004Z"
    assert rfc3339(datetime(987, 7, 1, tzinfo=UTC)) == "0987-07-01T00:00:00.000Z"


@pytest.mark.parametrize("text", ["", "today", "2026-11-21T11:00:00", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"moment|isoformat"):
        from_rfc3339(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_in_whole_milliseconds_survives_being_written(moment):
    moment = whole_milliseconds(moment)
    assert from_rfc3339(rfc3339(moment)) == moment


@given(st.integers() | st.floats() | st.text() | st.none() | st.booleans())
def test_nothing_that_is_given_as_a_moment_raises(value):
    moment = as_moment(value)
    assert moment is None or (moment.tzinfo is UTC and moment.microsecond % 1000 == 0)
