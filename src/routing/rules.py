"""What a channel's routing means: the values that the engine reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from routing.entries import DEFAULT_TIMEOUT, Entry
from routing.hours import DAYS, MINUTES_A_DAY, Span, Timetable, public_holidays

ALTERNATIVE: Final = "alternative"
PERCENTAGE: Final = "percentage"
TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Routing:
    """A channel's routing.

    Attributes:
        rule: `alternative`, `percentage` or `time`.
        entries: Whom it asks; none for `time`, whose lists are in the timetable.
        timetable: Of the rule `time` alone.
        sticky_for: How long after an enquiry's end its agent is asked first again; None: never.
        waiting_limit: How long an enquiry may wait in all.
    """

    rule: str
    entries: tuple[Entry, ...]
    timetable: Timetable | None
    sticky_for: timedelta | None
    waiting_limit: timedelta

    @property
    def destination_ids(self) -> list[str]:
        """Every destination that it may ever choose, each once."""
        return list(dict.fromkeys(entry.destination_id for entry in self._all_entries()))

    def entries_at(self, moment: datetime) -> tuple[str, tuple[Entry, ...]]:
        """Return the list that holds at a moment, and the name that a timetable has for it."""
        if self.timetable is None:
            return "", self.entries
        shift = self.timetable.at(moment)
        return shift.name, shift.entries

    def next_change(self, moment: datetime, *, until: datetime) -> datetime | None:
        """Return when another list may hold; None: the same one does until then."""
        return None if self.timetable is None else self.timetable.next_change(moment, until=until)

    def timeout_of(self, destination_id: str) -> timedelta:
        """Return how long an offer to a destination stands, whether it is listed or not."""
        for entry in self._all_entries():
            if entry.destination_id == destination_id:
                return entry.timeout
        return DEFAULT_TIMEOUT

    def _all_entries(self) -> Iterator[Entry]:
        yield from self.entries
        if self.timetable is not None:
            for entries in self.timetable.lists():
                yield from entries


# Of a channel without a routing: nobody is asked but who is to be asked first.
NO_RULE: Final = Routing(
    rule="none", entries=(), timetable=None, sticky_for=None, waiting_limit=timedelta.max
)


def routing_of(stored: Mapping[str, Any] | None) -> Routing | None:
    """Return the routing that `validate_routing` accepted, or None where none is configured."""
    return None if stored is None else _read(orjson.dumps(stored))


# Every decision about a channel reads its routing; a timetable takes long to read.
@lru_cache(maxsize=4096)
def _read(text: bytes) -> Routing:
    stored = orjson.loads(text)
    sticky = stored.get("sticky") or {}
    return Routing(
        rule=stored["rule"],
        entries=_entries(stored.get("destinations", ())),
        timetable=_timetable(stored["time"]) if stored["rule"] == TIME else None,
        sticky_for=timedelta(hours=sticky["valid_hours"]) if sticky.get("enabled") else None,
        waiting_limit=timedelta(seconds=stored["waiting_limit_seconds"]),
    )


def _entries(stored: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    return tuple(
        Entry(entry["id"], timedelta(seconds=entry["timeout_seconds"]), entry.get("share", 0))
        for entry in stored
    )


def _timetable(stored: Mapping[str, Any]) -> Timetable:
    week: list[list[Span]] = [[] for _ in DAYS]
    for each in stored["spans"]:
        for day in each["days"]:
            week[DAYS.index(day)].append(_span(each))
    return Timetable(
        zone=ZoneInfo(stored["zone"]),
        week=tuple(map(tuple, week)),
        exceptions={
            date.fromisoformat(each["date"]): tuple(map(_span, each.get("spans", ())))
            for each in stored["exceptions"]
        },
        holidays=public_holidays(stored.get("holidays")),
        other=_entries(stored["other"]),
    )


def _span(stored: Mapping[str, Any]) -> Span:
    begins, ends = minutes_between(stored["from"], stored["to"])
    return Span(begins, ends, _entries(stored["destinations"]))


def minutes_between(begins: str, ends: str) -> tuple[int, int]:
    """Return a span's ends in minutes after the midnight before it; `to` may pass the next one."""
    first, last = _minute(begins), _minute(ends)
    return first, last if last > first else last + MINUTES_A_DAY


def _minute(hour: str) -> int:
    hours, minutes = hour.split(":")
    return int(hours) * 60 + int(minutes)
