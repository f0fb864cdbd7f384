"""The span of time that a report is about, and its days where the clock of a zone hangs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from gateway.contracts.moments import from_rfc3339
from gateway.errors import FieldFault, InvalidFieldsError

DEFAULT_DAYS: Final = 30
# Ten years of rows.
MOST_DAYS: Final = 3660

_IS_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY: Final = timedelta(days=1)
# So far from the calendar's ends that no zone leads over them.
_FIRST: Final = date(2, 1, 1)
_LAST: Final = date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment on, that one included, until another, that one not."""

    begins: datetime
    ends: datetime
    zone: ZoneInfo

    def days(self) -> list[date]:
        """Return the days that the span touches.

        Raises:
            InvalidFieldsError: They are more than a report may have.
        """
        first = self.begins.astimezone(self.zone).date()
        last = (self.ends - timedelta(microseconds=1)).astimezone(self.zone).date()
        if (last - first).days >= MOST_DAYS:
            raise _refusal(
                "from", "too-long", f"A report by day has at most {MOST_DAYS} days; ask for less."
            )
        return list(_days(first, last))

    def day_begins(self) -> list[datetime]:
        """Return when each of its days begins, in UTC.

        A midnight that the clock skips begins when it has jumped; of one that comes twice, the
        first counts. A day that the zone left out is empty: it begins when the next one does.
        """
        return [_midnight(day, self.zone) for day in self.days()]


def span_of(*, begins: str | None, ends: str | None, zone: str, now: datetime) -> Span:
    """Return the span that a caller asks for.

    Args:
        begins: A date in the zone, or a moment by RFC 3339. None: the end's day is the last of
            30.
        ends: The same. None: the end of today.
        zone: The name of an IANA time zone.
        now: The present moment.

    Raises:
        InvalidFieldsError: One of them is none of these, or the end is not after the beginning.
    """
    if zone not in _zones():
        raise _refusal(
            "zone", "unknown-zone", "It is the name of an IANA time zone, such as `Europe/London`."
        )
    where = ZoneInfo(zone)
    if ends is None:
        # Not now: what other processes write at this very moment counts too.
        end = _midnight(now.astimezone(where).date() + _DAY, where)
    else:
        end = _moment("to", ends, where)
    if begins is None:
        last = (end - timedelta(microseconds=1)).astimezone(where).date()
        beginning = _midnight(last - timedelta(days=DEFAULT_DAYS - 1), where)
    else:
        beginning = _moment("from", begins, where)
    if end <= beginning:
        raise _refusal("to", "not-after-from", "The end of the span is after its beginning.")
    return Span(beginning, end, where)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _moment(parameter: str, raw: str, zone: ZoneInfo) -> datetime:
    try:
        if _IS_DATE.fullmatch(raw):
            return _midnight(date.fromisoformat(raw), zone)
        moment = from_rfc3339(raw)
        _require_in_calendar(moment.date())
    except ValueError as error:
        raise _refusal(
            parameter,
            "not-a-moment",
            "It is a date, such as `2026-03-29`, or a moment with its offset, such as "
            "`2026-03-29T12:00:00Z`.",
        ) from error
    return moment


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    _require_in_calendar(day)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _require_in_calendar(day: date) -> None:
    if not _FIRST <= day <= _LAST:
        raise ValueError("a day that some zone has outside the calendar")


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


def _refusal(parameter: str, code: str, detail: str) -> InvalidFieldsError:
    return InvalidFieldsError(
        "The report's span does not hold.",
        faults=[FieldFault(f"/query/{parameter}", code, detail)],
    )
