"""Reads fields out of Meta's JSON, which is loose: ids and times come as numbers or as text."""

from typing import Final

from gateway.contracts.canonical import Json

# Meta's own ids have at most some 150 characters; what is indexed later must stay indexable.
MAX_ID_CHARACTERS: Final = 512

_MAX_NUMBER_CHARACTERS: Final = 40


class UnusableItemError(Exception):
    """An item that cannot be put in our words; `reason` and `detail` come from fixed sets."""

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def bad_field(path: str) -> UnusableItemError:
    """Return the error for a field that is missing, or not of the type it must be."""
    return UnusableItemError("bad-field", path)


def as_id(value: Json) -> str | None:
    """Return an id, given as text or as a whole number, as text; None if it is neither."""
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS:
        return value
    return None


def optional_id(members: dict[str, Json], name: str, at: str) -> str | None:
    """Return the id under a name, None where there is none.

    Raises:
        UnusableItemError: there is something that is no id, or one too long.
    """
    value = members.get(name)
    if value is None or value == "":
        return None
    found = as_id(value)
    if found is None:
        if isinstance(value, str):
            raise UnusableItemError("id-too-long", f"{at}.{name}")
        raise bad_field(f"{at}.{name}")
    return found


def required_id(members: dict[str, Json], name: str, at: str) -> str:
    """Return the id under a name.

    Raises:
        UnusableItemError: there is none.
    """
    found = optional_id(members, name, at)
    if found is None:
        raise bad_field(f"{at}.{name}")
    return found


def optional_text(members: dict[str, Json], name: str, at: str) -> str | None:
    """Return the text under a name, None where there is none.

    Raises:
        UnusableItemError: there is something else.
    """
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    raise bad_field(f"{at}.{name}")


def loose_text(members: dict[str, Json], name: str) -> str | None:
    """Return a text that the item can do without; a number counts as its digits."""
    value = members.get(name)
    if isinstance(value, str):
        return value
    return str(value) if type(value) in (int, float) else None


def flag(members: dict[str, Json], name: str, at: str) -> bool:
    """Return a truth value, false where there is none.

    Raises:
        UnusableItemError: there is something else.
    """
    value = members.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise bad_field(f"{at}.{name}")


def optional_members(members: dict[str, Json], name: str, at: str) -> dict[str, Json] | None:
    """Return the object under a name, None where there is none.

    Raises:
        UnusableItemError: there is something else.
    """
    value = members.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise bad_field(f"{at}.{name}")


def loose_members(members: dict[str, Json], name: str) -> dict[str, Json]:
    """Return the object under a name, an empty one where there is none."""
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def as_members(value: Json, at: str) -> dict[str, Json]:
    """Return the value, which has to be an object.

    Raises:
        UnusableItemError: it is something else.
    """
    if isinstance(value, dict):
        return value
    raise bad_field(at)


def elements(members: dict[str, Json], name: str, at: str) -> list[Json]:
    """Return the array under a name, an empty one where there is none.

    Raises:
        UnusableItemError: there is something else.
    """
    value = members.get(name)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise bad_field(f"{at}.{name}")


def as_whole_number(value: Json) -> int | None:
    """Return a whole number given as a number or as text, None if it is neither."""
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) <= _MAX_NUMBER_CHARACTERS else None
    return None


def verbatim(value: Json) -> str:
    """Return a number or text as text, exactly, and an empty text for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) in (int, float) else ""


def present(**members: Json) -> dict[str, Json]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}
