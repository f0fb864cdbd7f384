"""What the models of bodies from outside have in common: what they do not know they refuse."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gateway.contracts.canonical import scrub

_NOT_TEXT: Final = "Text must not contain NUL characters or lone surrogates"


class Body(BaseModel):
    """A body that we read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _is_text(value: str) -> str:
    if scrub(value) != value:
        raise ValueError(_NOT_TEXT)
    return value


def _is_said(value: str) -> str:
    if not value.strip():
        raise ValueError("It has to say something")
    return value


def _is_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        reachable = parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        reachable = False
    if not reachable or not value.isprintable() or " " in value:
        raise ValueError("It has to be a web address")
    return value


def required() -> PydanticCustomError:
    """Return the error of a field that others make necessary; raised by the field's validator."""
    return PydanticCustomError("missing", "This field is required")


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
# More than white space.
IS_SAID: Final = AfterValidator(_is_said)
WebAddress = Annotated[
    str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_is_address), IS_TEXT
]
