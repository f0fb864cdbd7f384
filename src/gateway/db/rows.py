"""Rows on their way to the database: one JSON document, as the parameter of one statement."""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime

import orjson


def as_json(rows: object) -> str:
    """Return rows as JSON: dicts or dataclasses, with moments in them.

    Fields whose names begin with an underscore are left out.
    """
    try:
        return orjson.dumps(rows).decode()
    except TypeError:
        # Integers of more than 64 bits, which documents from outside may hold.
        return json.dumps(rows, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value) if not field.name.startswith("_"))
        return {name: getattr(value, name) for name in names}
    raise TypeError(type(value).__name__)


def counted(rows: Sequence[object]) -> dict[str, object]:
    """Return the parameters of a statement with `rows_of`: the rows as JSON, and their number."""
    return {"rows": as_json(rows), "count": len(rows)}


def rows_of(columns: str) -> str:
    """Return what `FROM` takes for rows named `r`; `counted` gives its parameters.

    PostgreSQL takes such rows for a hundred, and would rather read the ten thousand rows of a
    table than look up a hundred of them. With a limit it takes them for a few.
    """
    return (
        f"(SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS t({columns}) LIMIT :count) r"  # noqa: S608 - constant column names
    )
