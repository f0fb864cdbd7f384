"""Names the fields that do not hold: pydantic's errors as JSON pointers, codes and sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from gateway.errors import FieldFault

_CODES: Final = {"extra_forbidden": "unknown-field", "value_error": "invalid"}
_UNION_TAGS: Final = ("union_tag_invalid", "union_tag_not_found")
_SENTENCES: Final = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field here.",
}
# A body that repeats a mistake a thousand times needs to hear of it a few times.
_MOST: Final = 50


def faults_of(errors: Iterable[Mapping[str, Any]], *, body: object) -> list[FieldFault]:
    """Return FastAPI's validation errors as faults; those outside the body say where they are."""
    faults = []
    for error in errors:
        where, *location = error["loc"]
        prefix = "" if where == "body" else f"/{where}"
        within = body if where == "body" else None
        faults.append(_fault(error, prefix + _pointer(error, location, within)))
    return faults[:_MOST]


def faults_in(error: ValidationError, *, body: object, prefix: str = "") -> list[FieldFault]:
    """Return the faults of a body that a model refused; `prefix` is where the body itself is."""
    found = error.errors(include_url=False, include_input=False)
    return [_fault(each, prefix + _pointer(each, each["loc"], body)) for each in found][:_MOST]


def _pointer(error: Mapping[str, Any], location: Sequence[str | int], body: object) -> str:
    return pointer_to(location, body, missing=error["type"] == "missing")


def pointer_to(location: Sequence[str | int], body: object, *, missing: bool = False) -> str:
    """Return the JSON pointer of a place in a body.

    Pydantic's locations also name the branch of a union that it tried. These are in no body, but
    may be called like a field that is, so the reading that ends where the location does, and then
    the one that explains most steps, is taken. What is missing is in no body either, but stands
    last. Without a body, every step counts.
    """
    steps = location
    if body is not None and location:
        steps = max(
            _readings(location, body, missing=missing),
            key=lambda steps: (steps[-1:] == [location[-1]], len(steps)),
        )
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _readings(
    location: Sequence[str | int], value: object, *, missing: bool
) -> Iterator[list[str | int]]:
    if not location:
        yield []
        return
    step, *rest = location
    found, inner = _descend(value, step)
    if found:
        yield from ([step, *others] for others in _readings(rest, inner, missing=missing))
    elif missing and not rest and isinstance(value, dict):
        yield [step]
    yield from _readings(rest, value, missing=missing)


def _descend(value: object, step: str | int) -> tuple[bool, object]:
    if isinstance(value, dict) and step in value:
        return True, value[step]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return True, value[step]
    return False, None


def _fault(error: Mapping[str, Any], pointer: str) -> FieldFault:
    kind = error["type"]
    if kind in _UNION_TAGS:
        # What is at fault is the field that should say which branch it is.
        pointer += "/" + str(error["ctx"]["discriminator"]).strip("'")
    return FieldFault(
        pointer,
        _CODES.get(kind, kind.replace("_", "-")),
        _SENTENCES.get(kind) or _sentence(error["msg"]),
    )


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message if message.endswith(".") else message + "."
