"""Collects what is wrong with a document, each fault with the pointer of the very field."""

from collections.abc import Collection, Mapping
from typing import Any

from gateway.errors import FieldFault


class Faults:
    """The faults found so far below one place of a document."""

    def __init__(self, at: str, found: list[FieldFault] | None = None) -> None:
        """Begin at a pointer, such as `/routing`."""
        self.at = at
        self.found: list[FieldFault] = [] if found is None else found

    def below(self, *names: str | int) -> "Faults":
        """Return the same collection, for a place further down."""
        return Faults("/".join((self.at, *(_escape(str(name)) for name in names))), self.found)

    def add(self, code: str, detail: str) -> None:
        """Note a fault at this place."""
        self.found.append(FieldFault(self.at, code, detail))

    def mapping(self, value: object, example: str) -> Mapping[str, Any] | None:
        """Return a JSON object, or note that it is none."""
        if isinstance(value, Mapping):
            return value
        self.add("wrong-type", f"It is a JSON object, such as {example}.")
        return None

    def sequence(self, value: object, what: str, *, least: int = 0, most: int) -> list[Any] | None:
        """Return a JSON list of an allowed length, or note what is wrong with it."""
        if not isinstance(value, list):
            self.add("wrong-type", f"It is a list of {what}.")
            return None
        if not least <= len(value) <= most:
            code = "too-many" if len(value) > most else "too-few"
            self.add(code, f"It has {least:,} to {most:,} {what}.")
            return None
        return value

    def whole(self, value: object, *, most: int, least: int = 1) -> int:
        """Return a whole number of a range, or note that it is none."""
        if not isinstance(value, int) or isinstance(value, bool):
            self.add("wrong-type", "It is a whole number.")
            return least
        if not least <= value <= most:
            self.add("out-of-range", f"It is between {least:,} and {most:,}.")
        return value

    def refuse_unknown(self, raw: Mapping[str, Any], known: Collection[str]) -> None:
        """Note the members that nobody knows."""
        for name in raw:
            if name not in known:
                self.below(name).add("unknown-field", "There is no such field.")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
