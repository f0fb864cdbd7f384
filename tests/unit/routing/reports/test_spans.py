"""Spans of reports: what callers ask for, and days where clocks change."""

import itertools
from datetime import UTC, date, datetime

import pytest

from gateway.errors import InvalidFieldsError
from routing.reports.spans import MOST_DAYS, Span, span_of

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def span(begins: str | None = None, ends: str | None = None, zone: str = "UTC") -> Span:
    return span_of(begins=begins, ends=ends, zone=zone, now=NOW)


def test_without_anything_today_is_the_last_of_thirty_days() -> None:
    days = span().days()
    assert (days[0], days[-1], len(days)) == (date(2026, 2, 1), date(2026, 3, 2), 30)
    # Where it is tomorrow already.
    assert span(zone="Pacific/Kiritimati").days()[-1] == date(2026, 3, 3)


def test_dates_are_midnights_of_the_zone_and_moments_are_what_they_say() -> None:
    asked = span("2026-07-01", "2026-07-02T12:00:00+02:00", "Asia/Kathmandu")
    assert asked.begins == datetime(2026, 6, 30, 18, 15, tzinfo=UTC)
    assert asked.ends == datetime(2026, 7, 2, 10, 0, tzinfo=UTC)


def test_an_end_at_midnight_is_of_the_day_before() -> None:
    assert span("2026-03-01", "2026-03-02").days() == [date(2026, 3, 1)]
    assert span(None, "2026-03-31").days()[0] == date(2026, 3, 1)


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("Europe/London", "2026-03-28", [24, 23, 24]),
        ("Europe/London", "2026-10-24", [24, 25, 24]),
        ("Australia/Lord_Howe", "2026-04-04", [24, 24.5, 24]),
        # The clock goes from midnight to one, and from one back to midnight.
        ("America/Havana", "2026-03-07", [24, 23, 24]),
        ("America/Havana", "2026-10-31", [24, 25, 24]),
        # It goes from midnight back to eleven of the day that just ended.
        ("Asia/Beirut", "2026-10-24", [25, 24, 24]),
        # The 30th was left out.
        ("Pacific/Apia", "2011-12-29", [24, 0, 24]),
    ],
)
def test_days_are_as_long_as_clocks_say(zone: str, first: str, hours: list[float]) -> None:
    day = date.fromisoformat(first)
    after = date.fromordinal(day.toordinal() + 4).isoformat()
    begins = span(first, after, zone).day_begins()
    lengths = [
        (later - earlier).total_seconds() / 3600 for earlier, later in itertools.pairwise(begins)
    ]
    assert lengths == hours


@pytest.mark.parametrize(
    ("asked", "pointer", "code"),
    [
        ({"zone": "Europe/Londinium"}, "/query/zone", "unknown-zone"),
        ({"zone": "../etc/passwd"}, "/query/zone", "unknown-zone"),
        ({"begins": "yesterday"}, "/query/from", "not-a-moment"),
        ({"begins": "2026-02-30"}, "/query/from", "not-a-moment"),
        ({"begins": "2026-03-01T12:00:00"}, "/query/from", "not-a-moment"),
        ({"begins": "0001-01-01"}, "/query/from", "not-a-moment"),
        ({"begins": "0001-01-01T00:00:00+23:59"}, "/query/from", "not-a-moment"),
        ({"ends": "9999-12-31"}, "/query/to", "not-a-moment"),
        ({"begins": "2026-03-02", "ends": "2026-03-02"}, "/query/to", "not-after-from"),
        ({"begins": "2027-01-01"}, "/query/to", "not-after-from"),
    ],
)
def test_what_does_not_hold(asked: dict[str, str], pointer: str, code: str) -> None:
    with pytest.raises(InvalidFieldsError) as refusal:
        span(**asked)
    [fault] = refusal.value.faults
    assert (fault.pointer, fault.code) == (pointer, code)


def test_days_have_an_end() -> None:
    assert len(span("2000-01-01", "2010-01-08").days()) == MOST_DAYS
    with pytest.raises(InvalidFieldsError):
        span("2000-01-01", "2010-01-09").days()
