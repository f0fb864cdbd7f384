"""What the models of bodies and resources have in common."""

from typing import Generic, TypeVar

from pydantic import Field

from gateway.contracts.resources import Moment, Resource
from gateway.contracts.strict import IS_TEXT, Body, Flag, Line, Reference, Text, Whole

__all__ = [
    "IS_TEXT",
    "Body",
    "Flag",
    "Line",
    "Moment",
    "Page",
    "Reference",
    "Resource",
    "Text",
    "Whole",
]

Item = TypeVar("Item")


class Page(Resource, Generic[Item]):
    """A part of a list."""

    data: list[Item]
    next_cursor: str | None = Field(
        description="Where the next part begins; null where there is none."
    )
