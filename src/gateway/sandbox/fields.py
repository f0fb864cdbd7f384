"""The `fields` parameter of Graph: `participants,messages.limit(5){id,from}`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.sandbox.errors import GraphError

_TOKEN: Final = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|\.([a-z]+)\(([^()]*)\)|([{},]))")
_MAX_DEPTH: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one field: how many items, and which of their fields."""

    limit: int | None
    fields: Mapping[str, "Wanted"]


def parse_fields(text: str) -> dict[str, Wanted]:
    """Return the fields asked for; raises GraphError for a syntax Graph would not take."""
    tokens = _tokens(text)
    fields, rest = _parse(tokens, depth=0)
    if rest:
        raise _syntax_error()
    return fields


def project(
    node_type: str,
    known: Mapping[str, Callable[[Wanted], Any]],
    wanted: Mapping[str, Wanted],
) -> dict[str, Any]:
    """Return the wanted fields of a node and its id; raises GraphError for a field it has not."""
    answer: dict[str, Any] = {}
    for name, details in wanted.items():
        if name not in known:
            raise GraphError(
                100,
                message=f"(#100) Tried accessing nonexisting field ({name}) on node type"
                f" ({node_type})",
            )
        value = known[name](details)
        if value is not None:
            answer[name] = value
    answer.setdefault("id", known["id"](Wanted(None, {})))
    return answer


def _tokens(text: str) -> list[re.Match[str]]:
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _syntax_error()
        found.append(match)
        position = match.end()
    return found


def _parse(
    tokens: list[re.Match[str]], *, depth: int
) -> tuple[dict[str, Wanted], list[re.Match[str]]]:
    if depth > _MAX_DEPTH:
        raise _syntax_error()
    fields: dict[str, Wanted] = {}
    while tokens and tokens[0][1]:
        name, tokens = tokens[0][1], tokens[1:]
        limit, tokens = _modifiers(tokens)
        inner: dict[str, Wanted] = {}
        if tokens and tokens[0][4] == "{":
            inner, tokens = _parse(tokens[1:], depth=depth + 1)
            if not tokens or tokens[0][4] != "}":
                raise _syntax_error()
            tokens = tokens[1:]
        fields[name] = Wanted(limit, inner)
        if not tokens or tokens[0][4] != ",":
            break
        tokens = tokens[1:]
    return fields, tokens


def _modifiers(tokens: list[re.Match[str]]) -> tuple[int | None, list[re.Match[str]]]:
    limit = None
    while tokens and tokens[0][2]:
        name, value = tokens[0][2], tokens[0][3].strip()
        if name == "limit":
            if not value.isdecimal():
                raise _syntax_error()
            limit = int(value)
        tokens = tokens[1:]
    return limit, tokens


def _syntax_error() -> GraphError:
    return GraphError(2500, message="Syntax error in the fields parameter")
