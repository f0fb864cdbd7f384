"""Checks a routing as a whole."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.contracts.routings import (
    DEFAULT_VALID_HOURS,
    DEFAULT_WAITING_LIMIT_SECONDS,
    LEAST_SHARES,
    MOST_SECONDS,
    MOST_VALID_HOURS,
)
from gateway.errors import InvalidFieldsError
from routing.configuration.faults import Faults
from routing.configuration.lists import destinations
from routing.configuration.timetables import timetable
from routing.rules import ALTERNATIVE, PERCENTAGE, TIME

_RULES: Final = (ALTERNATIVE, PERCENTAGE, TIME)
_MEMBERS: Final = ("rule", "destinations", "time", "sticky", "waiting_limit_seconds")


def validate_routing(raw: object, *, pointer_prefix: str = "") -> dict[str, Any]:
    """Return a routing configuration with its defaults filled in.

    Whether its destinations exist is for the database to say; see
    `routing.acceptance`.

    Args:
        raw: What the caller sent.
        pointer_prefix: Where it stood in the caller's body, such as `/routing`.

    Raises:
        InvalidFieldsError: It does not hold; every fault points at the very field.
    """
    faults = Faults(pointer_prefix)
    given = faults.mapping(raw, '{"rule": "alternative", "destinations": […]}')
    accepted = {} if given is None else dict(_routing(given, faults))
    if faults.found:
        raise InvalidFieldsError("The routing does not hold.", faults=faults.found)
    return accepted


def _routing(raw: Mapping[str, Any], faults: Faults) -> Iterator[tuple[str, Any]]:
    faults.refuse_unknown(raw, _MEMBERS)
    rule = raw.get("rule")
    if rule not in _RULES:
        code = "not-one-of" if "rule" in raw else "missing"
        faults.below("rule").add(code, "The rule is `alternative`, `percentage` or `time`.")
        return
    yield "rule", rule
    yield from _lists(raw, rule, faults)
    sticky = raw.get("sticky")
    yield "sticky", _sticky({} if sticky is None else sticky, faults.below("sticky"))
    yield (
        "waiting_limit_seconds",
        faults.below("waiting_limit_seconds").whole(
            raw.get("waiting_limit_seconds", DEFAULT_WAITING_LIMIT_SECONDS), most=MOST_SECONDS
        ),
    )


def _lists(raw: Mapping[str, Any], rule: str, faults: Faults) -> Iterator[tuple[str, Any]]:
    if rule == TIME:
        if "destinations" in raw:
            faults.below("destinations").add(
                "not-applicable", "The lists of the rule `time` stand in its timetable."
            )
        if "time" not in raw:
            faults.below("time").add("missing", "The rule `time` has a timetable.")
        else:
            yield "time", timetable(raw["time"], faults.below("time"))
        return
    if "time" in raw:
        faults.below("time").add("not-applicable", "Only the rule `time` has a timetable.")
    shares = rule == PERCENTAGE
    least = LEAST_SHARES if shares else 1
    yield "destinations", destinations(raw, "destinations", faults, least=least, shares=shares)


def _sticky(raw: object, faults: Faults) -> dict[str, Any]:
    given = faults.mapping(raw, '{"enabled": true, "valid_hours": 24}')
    if given is None:
        return {}
    faults.refuse_unknown(given, ("enabled", "valid_hours"))
    enabled = given.get("enabled", False)
    if not isinstance(enabled, bool):
        faults.below("enabled").add("wrong-type", "It is true or false.")
    hours = given.get("valid_hours")
    return {
        "enabled": enabled,
        "valid_hours": faults.below("valid_hours").whole(
            DEFAULT_VALID_HOURS if hours is None else hours, most=MOST_VALID_HOURS
        ),
    }
