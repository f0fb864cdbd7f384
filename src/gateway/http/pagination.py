"""Lists in parts: opaque cursors that name the place after which the next part begins."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Query

from gateway.contracts.canonical import compact, parse_json
from gateway.errors import FieldFault, InvalidFieldsError, MalformedJsonError

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

Row = TypeVar("Row")
# What a place in a list consists of: ids, sequences, moments as ISO 8601.
Place = Sequence[str | int | None]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted."""

    limit: int
    cursor: str | None

    def place(self, list_name: str, *shape: type[str] | type[int] | type[datetime]) -> Any:  # noqa: ANN401 - a tuple of this shape
        """Return the place after which the part begins, None at the beginning.

        Raises:
            InvalidFieldsError: The cursor is not one that this list gave.
        """
        if self.cursor is None:
            return None
        return decode_cursor(self.cursor, list_name, *shape)

    def page(
        self, rows: Sequence[Row], list_name: str, place: Callable[[Row], Place]
    ) -> tuple[Sequence[Row], str | None]:
        """Return the rows of this part and the cursor of the next; `rows` has one to spare."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, encode_cursor(list_name, place(shown[-1]))


def page_request(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many to return at most.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="`next_cursor` of the part before.")
    ] = None,
) -> PageRequest:
    """Return which part of a list the caller wants."""
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(page_request)]


def encode_cursor(list_name: str, place: Place) -> str:
    """Return the cursor that names a place in a list."""
    return _encoded(compact([list_name, *place]))


def decode_cursor(
    cursor: str,
    list_name: str,
    *shape: type[str] | type[int] | type[datetime],
    parameter: str = "cursor",
) -> tuple[Any, ...]:
    """Return the place that a cursor names.

    Raises:
        InvalidFieldsError: It is not one of this list's.
    """
    place = _decoded(cursor)
    if place is None or len(place) != len(shape) + 1 or place[0] != list_name:
        raise _malformed(parameter)
    values: list[Any] = []
    for value, kind in zip(place[1:], shape, strict=True):
        if kind is datetime and isinstance(value, str):
            values.append(_moment(value, parameter))
        elif kind is not datetime and type(value) is kind and _fits(value):
            values.append(value)
        else:
            raise _malformed(parameter)
    return tuple(values)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(cursor: str) -> list[Any] | None:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = parse_json(raw)
    except (binascii.Error, ValueError, MalformedJsonError):
        return None
    # Only what we write ourselves is read back: no second spelling of the same place.
    if isinstance(place, list) and _encoded(compact(place)) == cursor:
        return place
    return None


def _fits(value: Any) -> bool:  # noqa: ANN401 - text or a number
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return "\0" not in value and all(not "\ud800" <= each <= "\udfff" for each in value)


def _moment(value: str, parameter: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise _malformed(parameter) from error
    if moment.tzinfo is None:
        raise _malformed(parameter)
    return moment


def _malformed(parameter: str) -> InvalidFieldsError:
    return InvalidFieldsError(
        "The cursor is malformed.",
        faults=[
            FieldFault(
                f"/query/{parameter}",
                "malformed-cursor",
                "Use a cursor exactly as this list gave it.",
            )
        ],
    )
