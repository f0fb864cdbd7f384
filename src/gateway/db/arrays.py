"""Conditions on lists of ids, as one parameter whatever the list's length.

An `IN` with a parameter for each id is another statement for each length, to be prepared and
planned anew, and ends at 32,767.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Text, any_, bindparam, literal
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a text column holds one of these values."""
    return column == any_(literal([str(value) for value in values], ARRAY(Text)))


def among_given(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Return the condition that a text column holds one of the values of a statement's parameter.

    For statements that are made once and executed for each message.
    """
    return column == any_(bindparam(parameter, type_=ARRAY(Text)))
