"""Finding things by a part of what they are called."""

from sqlalchemy import ColumnElement

_ESCAPE = "\\"


def matches(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Return the condition that a text has this part, upper and lower case alike."""
    return column.ilike(as_pattern(part), escape=_ESCAPE)


def as_pattern(part: str) -> str:
    """Return the pattern, for ILIKE with its usual escape, of texts that have this part."""
    for special in (_ESCAPE, "%", "_"):
        part = part.replace(special, _ESCAPE + special)
    return f"%{part}%"
