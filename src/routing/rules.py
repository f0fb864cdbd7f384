"""What a routing configuration may look like, and what it means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from gateway.domain import ids
from gateway.errors import FieldFault, InvalidFieldsError

MOST_DESTINATIONS: Final = 5
DEFAULT_TIMEOUT_SECONDS: Final = 60
DEFAULT_WAITING_LIMIT_SECONDS: Final = 300
_MOST_SECONDS: Final = 86_400
_MOST_HOURS: Final = 24 * 366

_RULES: Final = ("alternative",)
_NOT_YET: Final = ("percentage", "time")
_MEMBERS: Final = ("rule", "destinations", "time", "sticky", "waiting_limit_seconds")
_DESTINATION_KINDS: Final = (ids.AGENT, ids.TEAM, ids.BOT, ids.ENDPOINT)


@dataclass(frozen=True, slots=True)
class Entry:
    """A destination's place in a list, and how long an offer to it stands."""

    destination_id: str
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Routing:
    """A channel's routing as the engine reads it."""

    rule: str
    entries: tuple[Entry, ...]
    waiting_limit: timedelta

    @property
    def destination_ids(self) -> list[str]:
        """Every destination that it may ever choose."""
        return [entry.destination_id for entry in self.entries]

    def timeout_of(self, destination_id: str) -> timedelta:
        """Return how long an offer to a destination stands, whether it is listed or not."""
        for entry in self.entries:
            if entry.destination_id == destination_id:
                return entry.timeout
        return timedelta(seconds=DEFAULT_TIMEOUT_SECONDS)


def routing_of(stored: Mapping[str, Any] | None) -> Routing | None:
    """Return the routing that `validate_routing` accepted, or None where none is configured."""
    if stored is None:
        return None
    return Routing(
        rule=stored["rule"],
        entries=tuple(
            Entry(entry["id"], timedelta(seconds=entry["timeout_seconds"]))
            for entry in stored["destinations"]
        ),
        waiting_limit=timedelta(seconds=stored["waiting_limit_seconds"]),
    )


def validate_routing(raw: object, *, pointer_prefix: str = "") -> dict[str, Any]:
    """Return a routing configuration with its defaults filled in.

    Whether its destinations exist is for the database to say; see
    `routing.parties.require_destinations`.

    Args:
        raw: What the caller sent.
        pointer_prefix: Where it stood in the caller's body, such as `/routing`.

    Raises:
        InvalidFieldsError: It does not hold; every fault points at the very field.
    """
    faults: list[FieldFault] = []
    accepted = dict(_routing(raw, pointer_prefix, faults))
    if faults:
        raise InvalidFieldsError("The routing does not hold.", faults=faults)
    return accepted


def _routing(raw: object, at: str, faults: list[FieldFault]) -> Iterator[tuple[str, Any]]:
    if not isinstance(raw, Mapping):
        faults.append(FieldFault(at, "wrong-type", "A routing is a JSON object."))
        return
    rule = raw.get("rule")
    if rule in _NOT_YET:
        faults.append(FieldFault(f"{at}/rule", "not-available", "This rule cannot be used yet."))
        return
    _refuse_unknown(raw, _MEMBERS, at, faults)
    if rule not in _RULES:
        code = "not-one-of" if "rule" in raw else "missing"
        faults.append(FieldFault(f"{at}/rule", code, "The rule is `alternative`."))
    yield "rule", rule
    yield "destinations", _destinations(raw, at, faults)
    if "time" in raw:
        faults.append(
            FieldFault(f"{at}/time", "not-applicable", "Only the rule `time` has a timetable.")
        )
    if raw.get("sticky") is not None:
        yield "sticky", _sticky(raw["sticky"], f"{at}/sticky", faults)
    yield (
        "waiting_limit_seconds",
        _whole(
            raw.get("waiting_limit_seconds", DEFAULT_WAITING_LIMIT_SECONDS),
            f"{at}/waiting_limit_seconds",
            faults,
            most=_MOST_SECONDS,
        ),
    )


def _destinations(raw: Mapping[str, Any], at: str, faults: list[FieldFault]) -> list[Any]:
    pointer = f"{at}/destinations"
    given = raw.get("destinations")
    if "destinations" not in raw:
        faults.append(FieldFault(pointer, "missing", "Name 1 to 5 destinations."))
        return []
    if not isinstance(given, list):
        faults.append(FieldFault(pointer, "wrong-type", "The destinations are a list."))
        return []
    if not 1 <= len(given) <= MOST_DESTINATIONS:
        code = "too-many" if given else "too-few"
        faults.append(FieldFault(pointer, code, "A list has 1 to 5 destinations."))
        return []
    entries = [_entry(each, f"{pointer}/{n}", faults) for n, each in enumerate(given)]
    seen: set[Any] = set()
    for n, entry in enumerate(entries):
        if entry.get("id") in seen:
            faults.append(
                FieldFault(f"{pointer}/{n}/id", "duplicate", "This destination stands above.")
            )
        seen.add(entry.get("id"))
    return entries


def _entry(raw: object, at: str, faults: list[FieldFault]) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        faults.append(FieldFault(at, "wrong-type", 'A destination reads {"id": "…"}.'))
        return {"id": at}
    _refuse_unknown(raw, ("id", "share", "timeout_seconds"), at, faults)
    destination_id = raw.get("id")
    if "id" not in raw:
        faults.append(FieldFault(f"{at}/id", "missing", "Name the destination by its id."))
        destination_id = at
    elif not _is_destination(destination_id):
        faults.append(
            FieldFault(f"{at}/id", "unknown-destination", "There is no such destination.")
        )
        # Several ill-formed ids are each at fault, and none is another's duplicate.
        destination_id = at
    if "share" in raw:
        faults.append(
            FieldFault(f"{at}/share", "not-applicable", "Only the rule `percentage` has shares.")
        )
    timeout = raw.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS)
    return {
        "id": destination_id,
        "timeout_seconds": _whole(timeout, f"{at}/timeout_seconds", faults, most=_MOST_SECONDS),
    }


def _is_destination(value: object) -> bool:
    return isinstance(value, str) and any(ids.is_id(kind, value) for kind in _DESTINATION_KINDS)


def _sticky(raw: object, at: str, faults: list[FieldFault]) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        faults.append(FieldFault(at, "wrong-type", 'It reads {"enabled": false}.'))
        return {}
    _refuse_unknown(raw, ("enabled", "valid_hours"), at, faults)
    enabled = raw.get("enabled", False)
    if not isinstance(enabled, bool):
        faults.append(FieldFault(f"{at}/enabled", "wrong-type", "It is true or false."))
    elif enabled:
        faults.append(
            FieldFault(f"{at}/enabled", "not-available", "Sticky routing cannot be used yet.")
        )
    accepted = {"enabled": enabled}
    if raw.get("valid_hours") is not None:
        accepted["valid_hours"] = _whole(
            raw["valid_hours"], f"{at}/valid_hours", faults, most=_MOST_HOURS
        )
    return accepted


def _whole(value: object, at: str, faults: list[FieldFault], *, most: int) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(FieldFault(at, "wrong-type", "It is a whole number."))
    elif not 1 <= value <= most:
        faults.append(FieldFault(at, "out-of-range", f"It is between 1 and {most:,}."))
    return value


def _refuse_unknown(
    raw: Mapping[str, Any], known: tuple[str, ...], at: str, faults: list[FieldFault]
) -> None:
    for name in raw:
        if name not in known:
            pointer = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            faults.append(FieldFault(pointer, "unknown-field", "There is no such field."))
