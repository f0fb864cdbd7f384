"""Lists in parts, as Graph gives them: a limit, and a cursor that says where the next begins."""

from typing import Any, Final, TypeVar

from gateway.sandbox.calls import Call
from gateway.sandbox.errors import invalid_parameter

_Item = TypeVar("_Item")

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 200


def slice_of(items: list[_Item], call: Call) -> tuple[list[_Item], dict[str, Any]]:
    """Return the part of a list that a call asks for, and its `paging`."""
    start, limit = number_of(call, "after", 0), number_of(call, "limit", DEFAULT_LIMIT)
    end = start + min(max(limit, 1), MAX_LIMIT)
    paging: dict[str, Any] = {"cursors": {"before": str(start), "after": str(end)}}
    return items[start:end], paging


def number_of(call: Call, name: str, default: int) -> int:
    """Return a parameter that is a number of things; raises GraphError where it is none."""
    text = call.text(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise invalid_parameter(name, "must be a number")
    return int(text)
