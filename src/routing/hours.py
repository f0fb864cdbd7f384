"""Which list of destinations a timetable names at a moment.

A span belongs to the day on which it starts, and is compared with the wall clock of the timetable's
zone. So a span that would start in the hour that is skipped in spring starts when the clock has
jumped, and in the hour that comes twice in autumn both passes count.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import holidays

from routing.entries import Entry

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY: Final = 24 * 60
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a day, and who is asked meanwhile.

    Attributes:
        begins: Minutes after midnight, included.
        ends: Minutes after the same midnight, excluded; above 1,440 it passes the next one.
        entries: Who is asked, in order.
    """

    begins: int
    ends: int
    entries: tuple[Entry, ...]


class Shift(NamedTuple):
    """What a timetable says of a moment.

    Attributes:
        name: What an explanation calls it: the span's days and hours, or why it is `other`.
        entries: Who is asked, in order.
    """

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """Opening hours in a zone.

    Attributes:
        zone: Where the clock hangs.
        week: The spans of each day, Monday first.
        exceptions: The spans of single dates, instead of the week's; none: closed all day.
        holidays: Dates on which the week's plan does not hold, and nobody works.
        other: Who is asked at all other times; may be nobody.
    """

    zone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    exceptions: Mapping[date, tuple[Span, ...]]
    holidays: Container[date]
    other: tuple[Entry, ...]

    def at(self, moment: datetime) -> Shift:
        """Return who is asked at a moment, which knows its own offset from UTC."""
        wall = moment.astimezone(self.zone)
        today = wall.date()
        minute = wall.hour * 60 + wall.minute
        # What began yesterday and passes midnight is still yesterday's.
        for day, passed in ((today - _ONE_DAY, MINUTES_A_DAY + minute), (today, minute)):
            for span in self._plan(day):
                if span.begins <= passed < span.ends:
                    return Shift(f"{day.isoformat()} {clock(span)}", span.entries)
        return Shift(self._why_other(today), self.other)

    def next_change(self, moment: datetime, *, until: datetime) -> datetime | None:
        """Return when another list holds next, after a moment; None: not until then."""
        first = moment.astimezone(self.zone).date() - _ONE_DAY
        last = until.astimezone(self.zone).date()
        days = (first + n * _ONE_DAY for n in range((last - first).days + 1))
        changes = {change for day in days for change in self._changes(day)}
        later = sorted(change for change in changes if moment < change <= until)
        now = self.at(moment).entries
        return next((change for change in later if self.at(change).entries != now), None)

    def lists(self) -> Iterator[tuple[Entry, ...]]:
        """Yield every list that it may ever name."""
        for spans in (*self.week, *self.exceptions.values()):
            for span in spans:
                yield span.entries
        yield self.other

    def _plan(self, day: date) -> Sequence[Span]:
        if day in self.exceptions:
            return self.exceptions[day]
        if day in self.holidays:
            return ()
        return self.week[day.weekday()]

    def _changes(self, day: date) -> Iterator[datetime]:
        """Yield every moment at which another list may begin to hold by a day's plan."""
        midnight = datetime.combine(day, time())
        walls = [midnight]
        for span in self._plan(day):
            walls += [midnight + timedelta(minutes=each) for each in (span.begins, span.ends)]
        for wall in walls:
            # The hour that comes twice begins and ends twice.
            for fold in (0, 1):
                yield wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
        # A span that would start in the hour that is skipped starts at the jump; one that ends in
        # the hour that comes twice holds again from it.
        jump = self._jump(day)
        if jump is not None:
            yield jump

    def _jump(self, day: date) -> datetime | None:
        """Return when the zone's clock jumps on a day; None: it does not."""
        before, after = (
            datetime.combine(each, time(), self.zone).astimezone(UTC)
            for each in (day, day + _ONE_DAY)
        )
        offset = before.astimezone(self.zone).utcoffset()
        if after.astimezone(self.zone).utcoffset() == offset:
            return None
        while after - before > timedelta.resolution:
            between = before + (after - before) / 2
            if between.astimezone(self.zone).utcoffset() == offset:
                before = between
            else:
                after = between
        return after

    def _why_other(self, today: date) -> str:
        if today in self.exceptions:
            return "other: exception"
        if today in self.holidays:
            return "other: holiday"
        return "other"


def clock(span: Span) -> str:
    """Return a span's hours as people write them."""
    return f"{_hour(span.begins)}-{_hour(span.ends)}"


def public_holidays(place: str | None) -> Container[date]:
    """Return the public holidays of a country (`GB`) or one of its regions (`GB-SCT`).

    Raises:
        NotImplementedError: The library knows no such place.
    """
    if place is None:
        return frozenset()
    country, _, region = place.partition("-")
    return holidays.country_holidays(country, subdiv=region or None)


def _hour(minute: int) -> str:
    hours, minutes = divmod(minute if minute == MINUTES_A_DAY else minute % MINUTES_A_DAY, 60)
    return f"{hours:02}:{minutes:02}"
