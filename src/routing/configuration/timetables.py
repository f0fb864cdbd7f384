"""Checks a timetable: spans of week days, exceptions by date, holidays, and the other times."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import available_timezones

from gateway.contracts.routings import MOST_EXCEPTIONS, MOST_SPANS
from routing.configuration.faults import Faults
from routing.configuration.lists import destinations
from routing.hours import DAYS, MINUTES_A_DAY, public_holidays
from routing.rules import minutes_between

LEAST_DESTINATIONS: Final = 2
_A_WEEK: Final = len(DAYS) * MINUTES_A_DAY

_MEMBERS: Final = ("zone", "spans", "exceptions", "holidays", "other")
_HOUR: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_PLACE: Final = re.compile(r"[A-Z]{2,3}(?:-[A-Z0-9]{1,6})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class _Stretch(NamedTuple):
    """A span on one of its days, in minutes from some midnight that the others share."""

    begins: int
    ends: int
    pointer: str
    words: str

    def meets(self, other: "_Stretch") -> bool:
        return self.begins < other.ends and other.begins < self.ends

    def later(self, minutes: int) -> "_Stretch":
        return self._replace(begins=self.begins + minutes, ends=self.ends + minutes)


def timetable(raw: object, faults: Faults) -> dict[str, Any]:
    """Return a timetable with its defaults."""
    given = faults.mapping(raw, '{"zone": "Europe/London", "spans": […]}')
    if given is None:
        return {}
    faults.refuse_unknown(given, _MEMBERS)
    accepted: dict[str, Any] = {
        "zone": _zone(given, faults.below("zone")),
        "spans": _spans(given, faults),
        "exceptions": _exceptions(given.get("exceptions", []), faults.below("exceptions")),
        "other": _other(given, faults),
    }
    if given.get("holidays") is not None:
        accepted["holidays"] = _holidays(given["holidays"], faults.below("holidays"))
    if not faults.found:
        _refuse_overlaps(accepted, faults)
        _require_two(accepted, faults)
    return accepted


def _zone(raw: Mapping[str, Any], faults: Faults) -> str | None:
    zone = raw.get("zone")
    if "zone" not in raw:
        faults.add("missing", "Name the zone of the hours, such as `Europe/London`.")
    elif not isinstance(zone, str) or zone not in _zones():
        faults.add("unknown-zone", "It is the name of an IANA time zone, such as `Europe/London`.")
    else:
        return zone
    return None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _spans(raw: Mapping[str, Any], faults: Faults) -> list[dict[str, Any]]:
    here = faults.below("spans")
    if "spans" not in raw:
        here.add("missing", "Name the spans of the week.")
        return []
    given = here.sequence(raw["spans"], "spans", most=MOST_SPANS)
    return [_span(each, here.below(n), days=True) for n, each in enumerate(given or ())]


def _span(raw: object, faults: Faults, *, days: bool) -> dict[str, Any]:
    example = '{"days": ["mon"], "from": "09:00", "to": "18:00", "destinations": […]}'
    given = faults.mapping(raw, example)
    if given is None:
        return {}
    members = ("days", "from", "to", "destinations") if days else ("from", "to", "destinations")
    faults.refuse_unknown(given, members)
    accepted: dict[str, Any] = {}
    if days:
        accepted["days"] = _days(given, faults.below("days"))
    accepted["from"] = _hour(given, "from", faults.below("from"))
    accepted["to"] = _hour(given, "to", faults.below("to"), midnight="24:00")
    if accepted["from"] is not None and accepted["from"] == accepted["to"]:
        faults.below("to").add("empty-span", "A whole day is `00:00` to `24:00`.")
    accepted["destinations"] = destinations(given, "destinations", faults)
    return accepted


def _days(raw: Mapping[str, Any], faults: Faults) -> list[str]:
    if "days" not in raw:
        faults.add("missing", "Name the days on which it starts.")
        return []
    given = faults.sequence(raw["days"], "days", least=1, most=len(DAYS)) or []
    accepted: list[str] = []
    for n, day in enumerate(given):
        if day not in DAYS:
            faults.below(n).add("not-one-of", f"A day is one of {', '.join(DAYS)}.")
        elif day in accepted:
            faults.below(n).add("duplicate", "This day stands above.")
        else:
            accepted.append(day)
    return accepted


def _hour(
    raw: Mapping[str, Any], name: str, faults: Faults, *, midnight: str | None = None
) -> str | None:
    hour = raw.get(name)
    if name not in raw:
        faults.add("missing", "Name an hour, such as `09:00`.")
    elif isinstance(hour, str) and (_HOUR.fullmatch(hour) or hour == midnight):
        return hour
    else:
        last = midnight or "23:59"
        faults.add("wrong-format", f"An hour reads `HH:MM`, `00:00` to `{last}`.")
    return None


def _exceptions(raw: object, faults: Faults) -> list[dict[str, Any]]:
    given = faults.sequence(raw, "exceptions", most=MOST_EXCEPTIONS) or []
    accepted = [_exception(each, faults.below(n)) for n, each in enumerate(given)]
    seen: set[str] = set()
    for n, each in enumerate(accepted):
        if (day := each.get("date")) in seen:
            faults.below(n, "date").add("duplicate", "This date stands above.")
        elif day is not None:
            seen.add(day)
    return accepted


def _exception(raw: object, faults: Faults) -> dict[str, Any]:
    given = faults.mapping(raw, '{"date": "2026-12-24", "closed": true}')
    if given is None:
        return {}
    faults.refuse_unknown(given, ("date", "closed", "spans"))
    accepted: dict[str, Any] = {"date": _date(given, faults.below("date"))}
    closed = given.get("closed", False)
    if not isinstance(closed, bool):
        faults.below("closed").add("wrong-type", "It is true or false.")
    elif closed == ("spans" in given):
        faults.add("one-of", "An exception is either `closed`: true, or has `spans`.")
    elif closed:
        accepted["closed"] = True
    else:
        here = faults.below("spans")
        spans = here.sequence(given["spans"], "spans", least=1, most=MOST_SPANS) or []
        accepted["spans"] = [_span(each, here.below(n), days=False) for n, each in enumerate(spans)]
    return accepted


def _date(raw: Mapping[str, Any], faults: Faults) -> str | None:
    given = raw.get("date")
    if "date" not in raw:
        faults.add("missing", "Name the date, such as `2026-12-24`.")
        return None
    if isinstance(given, str) and _DATE.fullmatch(given):
        try:
            return date.fromisoformat(given).isoformat()
        except ValueError:
            pass
    faults.add("wrong-format", "A date reads `YYYY-MM-DD`, and is one of the calendar.")
    return None


def _other(raw: Mapping[str, Any], faults: Faults) -> list[dict[str, Any]]:
    return destinations(raw, "other", faults, least=0) if "other" in raw else []


def _holidays(raw: object, faults: Faults) -> object:
    detail = "It is a country, such as `GB`, or a region of one, such as `GB-SCT`."
    if not isinstance(raw, str) or not _PLACE.fullmatch(raw):
        faults.add("wrong-format", detail)
        return None
    try:
        public_holidays(raw)
    except NotImplementedError:
        faults.add("unknown-place", detail)
        return None
    return raw


def _refuse_overlaps(accepted: Mapping[str, Any], faults: Faults) -> None:
    """Note every span that another one, named before it, meets."""
    week = list(_of_week(accepted["spans"], faults))
    cycle = [each.later(shift) for each in week for shift in (-_A_WEEK, 0, _A_WEEK)]
    _refuse_meetings(week, cycle, faults)
    exceptions = {
        date.fromisoformat(each["date"]): [
            _stretch(span, 0, faults.below("exceptions", n, "spans", m), each["date"])
            for m, span in enumerate(each.get("spans", ()))
        ]
        for n, each in enumerate(accepted["exceptions"])
    }
    for day, stretches in exceptions.items():
        around = list(stretches)
        for shift in (-1, 1):
            neighbour = day + timedelta(days=shift)
            plan = exceptions.get(neighbour, _of_day(week, neighbour.weekday()))
            around += [each.later(shift * MINUTES_A_DAY) for each in plan]
        _refuse_meetings(stretches, around, faults)


def _refuse_meetings(stretches: list[_Stretch], others: list[_Stretch], faults: Faults) -> None:
    told: set[str] = set()
    for stretch in stretches:
        for other in others:
            if other.pointer == stretch.pointer or {stretch.pointer, other.pointer} & told:
                continue
            if stretch.meets(other):
                told.add(max(stretch.pointer, other.pointer))
                first, second = sorted((stretch, other), key=lambda each: each.pointer)
                Faults(second.pointer, faults.found).add(
                    "overlap", f"{second.words} overlaps {first.words} at {first.pointer}."
                )


def _of_week(spans: list[dict[str, Any]], faults: Faults) -> Iterator[_Stretch]:
    for n, span in enumerate(spans):
        for day in span["days"]:
            place = DAYS.index(day) * MINUTES_A_DAY
            yield _stretch(span, place, faults.below("spans", n), day)


def _of_day(week: list[_Stretch], weekday: int) -> list[_Stretch]:
    midnight = weekday * MINUTES_A_DAY
    return [
        each.later(-midnight) for each in week if midnight <= each.begins < midnight + MINUTES_A_DAY
    ]


def _stretch(span: Mapping[str, Any], midnight: int, faults: Faults, day: str) -> _Stretch:
    begins, ends = minutes_between(span["from"], span["to"])
    words = f"{day} {span['from']}-{span['to']}"
    return _Stretch(midnight + begins, midnight + ends, faults.at, words)


def _require_two(accepted: Mapping[str, Any], faults: Faults) -> None:
    named = {
        entry["id"]
        for each in (*accepted["spans"], *_exception_spans(accepted))
        for entry in each["destinations"]
    } | {entry["id"] for entry in accepted["other"]}
    if len(named) < LEAST_DESTINATIONS:
        faults.add("too-few", "A timetable names two or more destinations over all its lists.")


def _exception_spans(accepted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in accepted["exceptions"]:
        yield from each.get("spans", ())
