"""Routings that do not hold, and where their faults are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.domain import ids

NOBODY = ids.new_id(ids.AGENT)


@dataclass(frozen=True)
class Bad:
    """A routing made of destinations that exist, and the faults that it has to be refused for."""

    make: Callable[[list[str]], Any]
    faults: list[tuple[str, str]]


def faults(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pointers and codes of a problem."""
    return [(fault["pointer"], fault["code"]) for fault in body["errors"]]


def listed(*destination_ids: str, **further: Any) -> list[dict[str, Any]]:
    return [{"id": each, **further} for each in destination_ids]


def alternative(*destination_ids: str, **further: Any) -> dict[str, Any]:
    return {"rule": "alternative", "destinations": listed(*destination_ids), **further}


def shares(destination_ids: list[str], *per_cents: Any) -> dict[str, Any]:
    pairs = zip(destination_ids, per_cents, strict=False)
    return {
        "rule": "percentage",
        "destinations": [{"id": each, "share": share} for each, share in pairs],
    }


def span(days: str, begins: str, ends: str, *destination_ids: str) -> dict[str, Any]:
    return {"days": days.split()} | hours(begins, ends, *destination_ids)


def hours(begins: str, ends: str, *destination_ids: str) -> dict[str, Any]:
    return {"from": begins, "to": ends, "destinations": listed(*destination_ids)}


def timetable(*spans: dict[str, Any], other: list[str] | None = None, **more: Any) -> Any:
    time = {"zone": "Europe/London", "spans": list(spans), **more}
    return {"rule": "time", "time": time if other is None else time | {"other": listed(*other)}}


# Each is made of six destinations that exist.
BAD = {
    "six destinations": Bad(lambda six: alternative(*six), [("/destinations", "too-many")]),
    "no destination": Bad(lambda six: alternative(), [("/destinations", "too-few")]),
    "the same twice": Bad(
        lambda six: alternative(six[0], six[0]), [("/destinations/1/id", "duplicate")]
    ),
    "an unknown destination": Bad(
        lambda six: alternative(six[0], NOBODY), [("/destinations/1/id", "unknown-destination")]
    ),
    "an id of nothing": Bad(
        lambda six: alternative("nobody"), [("/destinations/0/id", "unknown-destination")]
    ),
    "no rule": Bad(lambda six: {"destinations": listed(six[0])}, [("/rule", "missing")]),
    "another rule": Bad(lambda six: {"rule": "chance"}, [("/rule", "not-one-of")]),
    "no object": Bad(lambda six: [], [("", "wrong-type")]),
    "a word": Bad(lambda six: "alternative", [("", "wrong-type")]),
    "shares of 99": Bad(lambda six: shares(six, 50, 49), [("/destinations", "wrong-sum")]),
    "shares of 101": Bad(lambda six: shares(six, 50, 51), [("/destinations", "wrong-sum")]),
    "one share": Bad(lambda six: shares(six, 100), [("/destinations", "too-few")]),
    "half a per cent": Bad(
        lambda six: shares(six, 50, 49.5, 0.5),
        [("/destinations/1/share", "wrong-type"), ("/destinations/2/share", "wrong-type")],
    ),
    "a share of nothing": Bad(
        lambda six: shares(six, 0, 100), [("/destinations/0/share", "out-of-range")]
    ),
    "no share": Bad(
        lambda six: {"rule": "percentage", "destinations": listed(*six[:2])},
        [("/destinations/0/share", "missing"), ("/destinations/1/share", "missing")],
    ),
    "an unknown share": Bad(
        lambda six: shares([six[0], NOBODY], 50, 50),
        [("/destinations/1/id", "unknown-destination")],
    ),
    "one destination in a time rule": Bad(
        lambda six: timetable(span("mon", "09:00", "18:00", six[0])), [("/time", "too-few")]
    ),
    "six in a span": Bad(
        lambda six: timetable(span("mon", "09:00", "18:00", *six)),
        [("/time/spans/0/destinations", "too-many")],
    ),
    "nobody in a span": Bad(
        lambda six: timetable(span("mon", "09:00", "18:00"), other=six[:2]),
        [("/time/spans/0/destinations", "too-few")],
    ),
    "overlapping spans": Bad(
        lambda six: timetable(
            span("mon", "09:00", "18:00", *six[:2]), span("mon tue", "17:00", "19:00", six[2])
        ),
        [("/time/spans/1", "overlap")],
    ),
    "a span that passes midnight into another": Bad(
        lambda six: timetable(
            span("mon", "22:00", "06:00", *six[:2]), span("tue", "05:00", "09:00", six[2])
        ),
        [("/time/spans/1", "overlap")],
    ),
    "an unknown zone": Bad(
        lambda six: timetable(span("mon", "09:00", "18:00", *six[:2]), zone="Europe/Atlantis"),
        [("/time/zone", "unknown-zone")],
    ),
    "25:00": Bad(
        lambda six: timetable(span("mon", "09:00", "25:00", *six[:2])),
        [("/time/spans/0/to", "wrong-format")],
    ),
    "from 24:00": Bad(
        lambda six: timetable(span("mon", "24:00", "06:00", *six[:2])),
        [("/time/spans/0/from", "wrong-format")],
    ),
    "a day that is none": Bad(
        lambda six: timetable(span("mon day", "09:00", "18:00", *six[:2])),
        [("/time/spans/0/days/1", "not-one-of")],
    ),
    "a date that is none": Bad(
        lambda six: timetable(
            span("mon", "09:00", "18:00", *six[:2]),
            exceptions=[{"date": "2026-02-30", "closed": True}],
        ),
        [("/time/exceptions/0/date", "wrong-format")],
    ),
    "a place without holidays": Bad(
        lambda six: timetable(span("mon", "09:00", "18:00", *six[:2]), holidays="ZZ"),
        [("/time/holidays", "unknown-place")],
    ),
    "unknown ids all over a timetable": Bad(
        lambda six: timetable(
            span("mon", "09:00", "18:00", six[0], NOBODY),
            span("tue", "09:00", "18:00", NOBODY),
            exceptions=[{"date": "2026-12-24", "spans": [hours("09:00", "12:00", NOBODY)]}],
            other=[six[1], NOBODY],
        ),
        [
            ("/time/spans/0/destinations/1/id", "unknown-destination"),
            ("/time/spans/1/destinations/0/id", "unknown-destination"),
            ("/time/exceptions/0/spans/0/destinations/0/id", "unknown-destination"),
            ("/time/other/1/id", "unknown-destination"),
        ],
    ),
    "sticky for no time": Bad(
        lambda six: alternative(six[0], sticky={"enabled": True, "valid_hours": 0}),
        [("/sticky/valid_hours", "out-of-range")],
    ),
    "a waiting limit of more than a day": Bad(
        lambda six: alternative(six[0], waiting_limit_seconds=86_401),
        [("/waiting_limit_seconds", "out-of-range")],
    ),
    "a field that nobody knows": Bad(
        lambda six: alternative(six[0], weights={}), [("/weights", "unknown-field")]
    ),
}
