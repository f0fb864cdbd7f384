"""What the models of bodies and resources have in common."""

from typing import Annotated, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from gateway.contracts.canonical import scrub
from gateway.contracts.resources import Moment, Resource

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

_NOT_TEXT: Final = "Text must not contain NUL characters or lone surrogates"


class Body(BaseModel):
    """A body that we read: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _is_text(value: str) -> str:
    if scrub(value) != value:
        raise ValueError(_NOT_TEXT)
    return value


# Text that PostgreSQL can store and JSON can carry; stands after the bounds of its length.
IS_TEXT: Final = AfterValidator(_is_text)
Text = Annotated[str, IS_TEXT]
# A line for people: a name, a label.
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), IS_TEXT
]
# An id of something that may or may not exist.
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
# Numbers and truth values are not read out of text.
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]

Item = TypeVar("Item")


class Page(Resource, Generic[Item]):
    """A part of a list."""

    data: list[Item]
    next_cursor: str | None = Field(
        description="Where the next part begins; null where there is none."
    )
