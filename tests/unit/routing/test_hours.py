"""Which list a timetable names: spans, midnights, exceptions, holidays, and clocks that jump."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ids
from gateway.errors import InvalidFieldsError
from routing.configuration import validate_routing
from routing.hours import DAYS
from routing.rules import Routing, routing_of

AGENTS = {name: ids.new_id(ids.AGENT) for name in ("day", "night", "feast", "other", "short")}
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = {agent_id: name for name, agent_id in AGENTS.items()}


def named(*names: str) -> list[dict[str, Any]]:
    return [{"id": AGENTS[name]} for name in names]


def span(days: str, begins: str, ends: str, *names: str) -> dict[str, Any]:
    return {"days": days.split(), "from": begins, "to": ends, "destinations": named(*names)}


def hours(begins: str, ends: str, *names: str) -> dict[str, Any]:
    return {"from": begins, "to": ends, "destinations": named(*names)}


def timetable(*spans: dict[str, Any], zone: str = "Europe/London", **further: Any) -> Routing:
    document = {
        "rule": "time",
        "time": {"zone": zone, "spans": list(spans), "other": named("other"), **further},
    }
    routing = routing_of(validate_routing(document))
    assert routing is not None
    return routing


def who(routing: Routing, moment: datetime) -> list[str]:
    return [NAMES[entry.destination_id] for entry in routing.entries_at(moment)[1]]


def local(text: str, zone: str = "Europe/London", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


EVERY_DAY = " ".join(DAYS)
WORK = span("mon tue wed thu fri", "09:00", "18:00", "day", "night")

# 2 November 2026 is a Monday.
MOMENTS = {
    "from is included": ("2026-11-02T09:00", ["day", "night"]),
    "a second before": ("2026-11-02T08:59:59", ["other"]),
    "the last second": ("2026-11-02T17:59:59.999999", ["day", "night"]),
    "to is excluded": ("2026-11-02T18:00", ["other"]),
    "another day": ("2026-11-01T12:00", ["other"]),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_week(name: str) -> None:
    moment, expected = MOMENTS[name]
    assert who(timetable(WORK), local(moment)) == expected


def test_several_spans_a_day_and_one_that_passes_midnight() -> None:
    routing = timetable(
        span("mon", "08:00", "12:00", "day"),
        span("mon", "13:00", "17:30", "short"),
        span("mon sun", "22:00", "06:00", "night"),
        span("tue", "18:00", "24:00", "feast"),
        span("wed", "18:00", "00:00", "feast"),
    )
    seen = {
        "2026-11-02T05:59": ["night"],  # Sunday's
        "2026-11-02T06:00": ["other"],
        "2026-11-02T11:59": ["day"],
        "2026-11-02T12:30": ["other"],
        "2026-11-02T17:29": ["short"],
        "2026-11-02T23:59": ["night"],
        "2026-11-03T05:59": ["night"],
        "2026-11-03T06:00": ["other"],
        "2026-11-03T23:59": ["feast"],
        "2026-11-04T00:00": ["other"],
        "2026-11-04T22:00": ["feast"],
        "2026-11-05T00:00": ["other"],
    }
    assert {moment: who(routing, local(moment)) for moment in seen} == seen


def test_an_exception_takes_the_place_of_its_day_and_of_the_night_after_it() -> None:
    routing = timetable(
        WORK,
        span(EVERY_DAY, "22:00", "06:00", "night"),
        exceptions=[
            {"date": "2026-12-24", "spans": [hours("09:00", "12:00", "short")]},
            {"date": "2026-12-25", "closed": True},
        ],
    )
    seen = {
        "2026-12-24T05:59": ["night"],  # began on the 23rd
        "2026-12-24T11:59": ["short"],
        "2026-12-24T12:00": ["other"],
        "2026-12-24T22:30": ["other"],
        "2026-12-25T05:00": ["other"],
        "2026-12-25T10:00": ["other"],
        "2026-12-25T23:00": ["other"],
        "2026-12-26T05:00": ["other"],  # would have begun on the 25th
        "2026-12-26T23:00": ["night"],
    }
    assert {moment: who(routing, local(moment)) for moment in seen} == seen


def test_public_holidays_come_before_the_week_and_behind_exceptions() -> None:
    routing = timetable(
        WORK,
        holidays="GB-SCT",
        exceptions=[{"date": "2026-12-25", "spans": [hours("10:00", "11:00", "feast")]}],
    )
    # St Andrew's Day is one in Scotland alone.
    assert who(routing, local("2026-11-30T10:00")) == ["other"]
    assert who(timetable(WORK, holidays="GB-ENG"), local("2026-11-30T10:00")) == ["day", "night"]
    assert who(routing, local("2026-12-25T10:30")) == ["feast"]
    assert routing.entries_at(local("2026-11-30T10:00"))[0] == "other: holiday"


def test_nobody_at_other_times_is_nobody() -> None:
    assert who(timetable(WORK, other=[]), local("2026-11-01T12:00")) == []


# The hour that is skipped, and the hour that comes twice, of each zone and year: the local time of
# the gap's start and end, and of the doubled hour's start.
JUMPS = {
    ("Europe/London", 2026): ("2026-03-29T01:00", "2026-03-29T02:00", "2026-10-25T01:00"),
    ("Europe/London", 2027): ("2027-03-28T01:00", "2027-03-28T02:00", "2027-10-31T01:00"),
    ("America/New_York", 2026): ("2026-03-08T02:00", "2026-03-08T03:00", "2026-11-01T01:00"),
    ("America/New_York", 2027): ("2027-03-14T02:00", "2027-03-14T03:00", "2027-11-07T01:00"),
}


@pytest.mark.parametrize(("zone", "year"), JUMPS)
def test_a_span_that_starts_in_the_gap_starts_at_its_end(zone: str, year: int) -> None:
    gap, after, _ = JUMPS[zone, year]
    begins = datetime.fromisoformat(gap) + timedelta(minutes=30)
    ends = datetime.fromisoformat(after) + timedelta(minutes=30)
    routing = timetable(span("sun", f"{begins:%H:%M}", f"{ends:%H:%M}", "short", "day"), zone=zone)
    jump = local(after, zone)
    assert who(routing, jump - timedelta(microseconds=1)) == ["other"]
    assert who(routing, jump) == ["short", "day"]
    assert who(routing, jump + timedelta(minutes=29, seconds=59)) == ["short", "day"]
    assert who(routing, jump + timedelta(minutes=30)) == ["other"]


@pytest.mark.parametrize(("zone", "year"), JUMPS)
def test_a_span_that_lies_within_the_gap_never_is(zone: str, year: int) -> None:
    gap, _, _ = JUMPS[zone, year]
    begins = datetime.fromisoformat(gap) + timedelta(minutes=15)
    ends = begins + timedelta(minutes=30)
    routing = timetable(span("sun", f"{begins:%H:%M}", f"{ends:%H:%M}", "short", "day"), zone=zone)
    midnight = local(f"{begins:%Y-%m-%d}T00:00", zone)
    seen = {tuple(who(routing, midnight + timedelta(minutes=n))) for n in range(23 * 60)}
    assert seen == {("other",)}


@pytest.mark.parametrize(("zone", "year"), JUMPS)
def test_in_the_hour_that_comes_twice_both_passes_count(zone: str, year: int) -> None:
    doubled = JUMPS[zone, year][2]
    begins = datetime.fromisoformat(doubled)
    ends = begins + timedelta(hours=1)
    routing = timetable(span("sun", f"{begins:%H:%M}", f"{ends:%H:%M}", "short", "day"), zone=zone)
    first, second = local(doubled, zone), local(doubled, zone, fold=1)
    assert second - first == timedelta(hours=1)
    for moment in (first, first + timedelta(minutes=59), second, second + timedelta(minutes=59)):
        assert who(routing, moment) == ["short", "day"]
    assert who(routing, first - timedelta(seconds=1)) == ["other"]
    assert who(routing, second + timedelta(hours=1)) == ["other"]


@pytest.mark.parametrize("zone", ["Asia/Hong_Kong", "Pacific/Apia"])
def test_zones_whose_clocks_do_not_jump(zone: str) -> None:
    routing = timetable(span(EVERY_DAY, "01:00", "02:00", "short", "day"), zone=zone)
    day = date(2026, 1, 1)
    while day.year < 2028:
        midnight = local(f"{day}T00:00", zone)
        assert who(routing, midnight + timedelta(minutes=60)) == ["short", "day"]
        assert who(routing, midnight + timedelta(minutes=120)) == ["other"]
        day += timedelta(days=1)


MINUTE = timedelta(minutes=1)
# How often the clocks of a zone jump in 2026 and 2027. The last two zones jump at midnight, and by
# half an hour.
JUMPING = {
    "Europe/London": 4,
    "America/New_York": 4,
    "Asia/Hong_Kong": 0,
    "Pacific/Apia": 0,
    "Africa/Cairo": 4,
    "Australia/Lord_Howe": 4,
}
# Spans that begin or end before, in and after hours that are skipped or come twice.
SPANS = {
    "around": [span(EVERY_DAY, "00:30", "03:30", "short", "day")],
    "within": [
        span(EVERY_DAY, "01:10", "01:50", "short"),
        span(EVERY_DAY, "02:10", "02:50", "day"),
    ],
    "that begin": [
        span(EVERY_DAY, "00:20", "00:40", "feast"),
        span(EVERY_DAY, "01:20", "02:10", "short"),
        span(EVERY_DAY, "02:20", "04:00", "day"),
    ],
    "that end": [
        span(EVERY_DAY, "23:00", "00:10", "feast"),
        span(EVERY_DAY, "00:15", "01:40", "short"),
        span(EVERY_DAY, "01:45", "02:40", "day"),
    ],
    "one behind the other": [
        span(EVERY_DAY, "22:00", "01:00", "night"),
        span(EVERY_DAY, "01:00", "01:30", "day"),
        span(EVERY_DAY, "01:30", "02:00", "short"),
        span(EVERY_DAY, "02:00", "02:30", "feast"),
    ],
}


def jumping(zone: str) -> list[date]:
    """Return the days of 2026 and 2027 on which a zone's clocks jump, or two when they never do."""

    def offset(day: date) -> timedelta | None:
        return local(f"{day}T00:00", zone).astimezone(ZoneInfo(zone)).utcoffset()

    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(2 * 365)]
    found = [day for day in days if offset(day) != offset(day + timedelta(days=1))]
    assert len(found) == JUMPING[zone]
    return found or [date(2026, 3, 29), date(2027, 11, 7)]


def found_by_looking_at_every_minute(
    routing: Routing, begins: datetime, ends: datetime
) -> list[datetime]:
    minutes = [begins + n * MINUTE for n in range((ends - begins) // MINUTE + 1)]
    lists = [who(routing, minute) for minute in minutes]
    return [minutes[n] for n in range(1, len(minutes)) if lists[n] != lists[n - 1]]


def told(routing: Routing, begins: datetime, ends: datetime) -> list[datetime]:
    """Return the changes as whoever waits is woken by them, one after the other."""
    found: list[datetime] = []
    moment = routing.next_change(begins, until=ends)
    while moment is not None:
        found.append(moment)
        moment = routing.next_change(moment, until=ends)
    return found


@pytest.mark.parametrize("spans", SPANS)
@pytest.mark.parametrize("zone", JUMPING)
def test_each_change_is_told_where_clocks_jump(zone: str, spans: str) -> None:
    routing = timetable(*SPANS[spans], zone=zone)
    for day in jumping(zone):
        begins = local(f"{day}T00:00", zone) - timedelta(hours=12)
        ends = begins + timedelta(hours=48)
        changes = found_by_looking_at_every_minute(routing, begins, ends)
        assert changes
        assert told(routing, begins, ends) == changes
        # Between two changes, the later one is told; at its own moment, the one after it.
        assert routing.next_change(changes[0] - MINUTE / 2, until=ends) == changes[0]
        assert routing.next_change(begins, until=changes[0]) == changes[0]
        assert routing.next_change(begins, until=changes[0] - MINUTE / 2) is None


def test_changes_by_exceptions_and_holidays_are_told() -> None:
    routing = timetable(
        WORK,
        span(EVERY_DAY, "22:00", "06:00", "night"),
        holidays="GB-ENG",
        exceptions=[
            {"date": "2026-12-24", "spans": [hours("09:00", "12:00", "short")]},
            {"date": "2026-12-31", "spans": [hours("20:00", "04:00", "feast")]},
        ],
    )
    begins, ends = local("2026-12-22T00:00"), local("2027-01-04T12:00")
    assert told(routing, begins, ends) == found_by_looking_at_every_minute(routing, begins, ends)


def _overlaps(*spans: dict[str, Any], **further: Any) -> Iterator[tuple[str, str]]:
    with pytest.raises(InvalidFieldsError) as refused:
        timetable(*spans, **further)
    for fault in refused.value.faults:
        assert fault.code == "overlap"
        yield fault.pointer, fault.detail


OVERLAPS = {
    "on one day": (
        [span("mon", "09:00", "12:00", "day"), span("mon tue", "11:59", "13:00", "night")],
        {},
        "/time/spans/1",
        "mon 11:59-13:00 overlaps mon 09:00-12:00 at /time/spans/0.",
    ),
    "over midnight": (
        [span("mon", "22:00", "06:00", "night"), span("tue", "05:00", "07:00", "day")],
        {},
        "/time/spans/1",
        "tue 05:00-07:00 overlaps mon 22:00-06:00 at /time/spans/0.",
    ),
    "over the end of the week": (
        [span("mon", "00:00", "01:00", "day"), span("sun", "23:00", "00:30", "night")],
        {},
        "/time/spans/1",
        "sun 23:00-00:30 overlaps mon 00:00-01:00 at /time/spans/0.",
    ),
    "within an exception": (
        [WORK],
        {
            "exceptions": [
                {
                    "date": "2026-12-24",
                    "spans": [hours("09:00", "12:00", "day"), hours("11:00", "13:00", "night")],
                }
            ]
        },
        "/time/exceptions/0/spans/1",
        "2026-12-24 11:00-13:00 overlaps 2026-12-24 09:00-12:00 at /time/exceptions/0/spans/0.",
    ),
    "of an exception's night and the next day": (
        [WORK],
        {
            "exceptions": [
                {"date": "2026-12-23", "spans": [hours("20:00", "09:30", "night")]},
            ]
        },
        "/time/spans/0",
        "thu 09:00-18:00 overlaps 2026-12-23 20:00-09:30 at /time/exceptions/0/spans/0.",
    ),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlaps_are_refused_with_both_spans_named(name: str) -> None:
    spans, further, pointer, detail = OVERLAPS[name]
    assert list(_overlaps(*spans, **further)) == [(pointer, detail)]


def test_spans_that_touch_do_not_overlap() -> None:
    timetable(
        span("mon", "09:00", "12:00", "day"),
        span("mon", "12:00", "24:00", "night"),
        span("tue", "00:00", "09:00", "short"),
    )


FAULTS = {
    "25:00": (span("mon", "25:00", "09:00", "day"), "/time/spans/0/from", "wrong-format"),
    "24:00 as a beginning": (
        span("mon", "24:00", "09:00", "day"),
        "/time/spans/0/from",
        "wrong-format",
    ),
    "9:00": (span("mon", "9:00", "10:00", "day"), "/time/spans/0/from", "wrong-format"),
    "other digits": (span("mon", "٠٩:00", "10:00", "day"), "/time/spans/0/from", "wrong-format"),
    "no length": (span("mon", "09:00", "09:00", "day"), "/time/spans/0/to", "empty-span"),
    "no such day": (
        span("mon moon", "09:00", "10:00", "day"),
        "/time/spans/0/days/1",
        "not-one-of",
    ),
    "a day twice": (span("mon mon", "09:00", "10:00", "day"), "/time/spans/0/days/1", "duplicate"),
    "nobody": (span("mon", "09:00", "10:00"), "/time/spans/0/destinations", "too-few"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_a_span(name: str) -> None:
    faulty, pointer, code = FAULTS[name]
    with pytest.raises(InvalidFieldsError) as refused:
        timetable(faulty)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(pointer, code)]


FURTHER_FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown zone": ({"zone": "Europe/Atlantis"}, "/time/zone", "unknown-zone"),
    "a zone that is a path": ({"zone": "../../etc/passwd"}, "/time/zone", "unknown-zone"),
    "a zone of another type": ({"zone": 7}, "/time/zone", "unknown-zone"),
    "an unknown country": ({"holidays": "XX"}, "/time/holidays", "unknown-place"),
    "an unknown region": ({"holidays": "GB-XXX"}, "/time/holidays", "unknown-place"),
    "no place": ({"holidays": 44}, "/time/holidays", "wrong-format"),
    "30 February": (
        {"exceptions": [{"date": "2026-02-30", "closed": True}]},
        "/time/exceptions/0/date",
        "wrong-format",
    ),
    "a date twice": (
        {"exceptions": [{"date": "2026-02-03", "closed": True}] * 2},
        "/time/exceptions/1/date",
        "duplicate",
    ),
    "neither closed nor spans": (
        {"exceptions": [{"date": "2026-02-03"}]},
        "/time/exceptions/0",
        "one-of",
    ),
    "closed and spans": (
        {"exceptions": [{"date": "2026-02-03", "closed": True, "spans": []}]},
        "/time/exceptions/0",
        "one-of",
    ),
    "an unknown member": ({"lunch": []}, "/time/lunch", "unknown-field"),
}


@pytest.mark.parametrize("name", FURTHER_FAULTS)
def test_what_is_wrong_with_the_rest(name: str) -> None:
    further, pointer, code = FURTHER_FAULTS[name]
    with pytest.raises(InvalidFieldsError) as refused:
        timetable(WORK, **further)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(pointer, code)]


def test_one_destination_over_all_lists_is_too_few() -> None:
    with pytest.raises(InvalidFieldsError) as refused:
        timetable(span("mon", "09:00", "10:00", "day"), other=named("day"))
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [("/time", "too-few")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DAYS), st.integers(0, 1439), st.integers(1, 1439), st.just("day")
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: YEAR + timedelta(minutes=minutes)),
    st.sampled_from(["Europe/London", "America/New_York", "Pacific/Apia"]),
)
def test_what_is_accepted_names_one_list_at_every_moment(
    spans: list[tuple[str, int, int, str]], moment: datetime, zone: str
) -> None:
    written = [
        span(day, _clock(begins), _clock(begins + length), name)
        for day, begins, length, name in spans
    ]
    try:
        routing = timetable(*written, zone=zone)
    except InvalidFieldsError as error:
        assert {fault.code for fault in error.faults} == {"overlap"}  # noqa: PT017
        return
    wall = moment.astimezone(ZoneInfo(zone))
    inside = False
    for day, begins, length, _ in spans:
        passed = (wall.weekday() - DAYS.index(day)) % 7 * 1440 + wall.hour * 60 + wall.minute
        inside = inside or begins <= passed < begins + length
        inside = inside or begins <= passed + 7 * 1440 < begins + length
    assert who(routing, moment) == (["day"] if inside else ["other"])


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"
