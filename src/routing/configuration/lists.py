"""Checks a list of destinations."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.contracts.routings import (
    DEFAULT_TIMEOUT_SECONDS,
    MOST_DESTINATIONS,
    MOST_SECONDS,
    MOST_SHARES,
)
from gateway.domain import ids
from routing.configuration.faults import Faults

_KINDS: Final = (ids.AGENT, ids.TEAM, ids.BOT, ids.ENDPOINT)
_MEMBERS: Final = ("id", "share", "timeout_seconds")
_WHOLE: Final = 100


def destinations(
    raw: Mapping[str, Any], name: str, faults: Faults, *, least: int = 1, shares: bool = False
) -> list[dict[str, Any]]:
    """Return the list that a member holds, its entries with their defaults.

    Args:
        raw: The object that has the member.
        name: The member.
        faults: Where the object stands.
        least: How many destinations there must be.
        shares: They have shares, which sum to 100.
    """
    here = faults.below(name)
    most = MOST_SHARES if shares else MOST_DESTINATIONS
    if name not in raw:
        here.add("missing", f"Name {least} to {most} destinations.")
        return []
    given = here.sequence(raw[name], "destinations", least=least, most=most)
    if given is None:
        return []
    before = len(faults.found)
    entries = [_entry(each, here.below(n), shares=shares) for n, each in enumerate(given)]
    # Shares that are none sum to nothing.
    if shares and len(faults.found) == before:
        _check_sum(entries, here)
    _refuse_repeats(entries, here)
    return entries


def _entry(raw: object, faults: Faults, *, shares: bool) -> dict[str, Any]:
    entry = faults.mapping(raw, '{"id": "…"}')
    if entry is None:
        return {}
    faults.refuse_unknown(entry, _MEMBERS)
    accepted: dict[str, Any] = {}
    if "id" not in entry:
        faults.below("id").add("missing", "Name the destination by its id.")
    elif not _is_destination(entry["id"]):
        faults.below("id").add("unknown-destination", "There is no such destination.")
    else:
        accepted["id"] = entry["id"]
    if shares:
        accepted["share"] = _share(entry, faults.below("share"))
    elif "share" in entry:
        faults.below("share").add("not-applicable", "Only the rule `percentage` has shares.")
    accepted["timeout_seconds"] = faults.below("timeout_seconds").whole(
        entry.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS), most=MOST_SECONDS
    )
    return accepted


def _share(entry: Mapping[str, Any], faults: Faults) -> int:
    if "share" not in entry:
        faults.add("missing", "Every destination has a share, in whole per cents.")
        return 0
    return faults.whole(entry["share"], most=_WHOLE)


def _refuse_repeats(entries: list[dict[str, Any]], faults: Faults) -> None:
    seen: set[str] = set()
    for n, entry in enumerate(entries):
        # Several ill-formed ids are each at fault, and none is another's duplicate.
        if (destination_id := entry.get("id")) is None:
            continue
        if destination_id in seen:
            faults.below(n, "id").add("duplicate", "This destination stands above.")
        seen.add(destination_id)


def _check_sum(entries: list[dict[str, Any]], faults: Faults) -> None:
    whole = sum(entry["share"] for entry in entries)
    if whole != _WHOLE:
        faults.add("wrong-sum", f"The shares sum to 100; these sum to {whole}.")


def _is_destination(value: object) -> bool:
    return isinstance(value, str) and any(ids.is_id(kind, value) for kind in _KINDS)
