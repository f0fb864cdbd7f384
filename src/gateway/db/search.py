"""Finding things by a part of what they are called."""

from sqlalchemy import ColumnElement


def matches(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Return the condition that a text has this part, upper and lower case alike."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.ilike(f"%{escaped}%", escape="\\")
