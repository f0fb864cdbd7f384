"""Every type that the source names is published: none is announced that no reader knows of."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.webhooks import MESSAGE_SEND
from gateway.domain.channel import ChannelStatus

SOURCE = Path(__file__).parents[2] / "src"
KNOWN = {*PUBLIC_TYPES, *INBOUND_TYPES, MESSAGE_SEND}
# Announcing is all that these have to do with types.
ANNOUNCERS = ["gateway/api", "gateway/db", "gateway/messaging", "gateway/sender"]
_TYPE = re.compile(r"gateway\.[a-z_]+\.[a-z_]+\.v[0-9]+")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Composed:
    """A type that a function composes with one of its parameters."""

    module: str
    function: str
    position: int
    pattern: str


@cache
def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def named_types(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and _TYPE.fullmatch(str(node.value)):
            yield str(node.value)


def composed_types(module: str) -> Iterator[Composed]:
    for function in ast.walk(modules()[module]):
        if not isinstance(function, _Function):
            continue
        parameters = [each.arg for each in function.args.args if each.arg != "self"]
        for text in ast.walk(function):
            found = _composition(text) if isinstance(text, ast.JoinedStr) else None
            if found is not None and found[0] in parameters:
                yield Composed(module, function.name, parameters.index(found[0]), found[1])


def _composition(text: ast.JoinedStr) -> tuple[str, str] | None:
    """Return the one name that a type is composed with, and the type with `{}` in its place."""
    names = [each.value for each in text.values if isinstance(each, ast.FormattedValue)]
    pattern = "".join(
        str(each.value) if isinstance(each, ast.Constant) else "{}" for each in text.values
    )
    if len(names) != 1 or not _TYPE.fullmatch(pattern.replace("{}", "x")):
        return None
    [name] = names
    return (name.id, pattern) if isinstance(name, ast.Name) else None


def words_given(composed: Composed) -> set[str]:
    """Return the words that calls give to a function that composes types."""
    private = composed.function.startswith("_")
    callers = [modules()[composed.module]] if private else modules().values()
    return {
        str(word.value)
        for caller in callers
        for call in ast.walk(caller)
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", None)) == composed.function
        for argument in call.args[composed.position : composed.position + 1]
        for word in _words(argument)
    }


def _words(argument: ast.expr) -> Iterator[ast.Constant]:
    """Yield the words that an argument may be: it is one, or one of two by a condition."""
    match argument:
        case ast.Constant():
            yield argument
        case ast.IfExp():
            yield from _words(argument.body)
            yield from _words(argument.orelse)
        case _:
            pass


COMPOSED = sorted(
    {each for module in modules() for each in composed_types(module)},
    key=lambda each: each.pattern,
)


@pytest.mark.parametrize("name", [name for name in modules() if any(named_types(modules()[name]))])
def test_every_type_that_is_named_is_published(name):
    found = set(named_types(modules()[name]))
    assert found <= KNOWN
    if name.startswith(tuple(ANNOUNCERS)):
        assert found <= set(PUBLIC_TYPES)


@pytest.mark.parametrize("composed", COMPOSED, ids=lambda each: each.pattern)
def test_every_type_that_is_composed_is_published(composed):
    words = words_given(composed)
    assert words
    assert {composed.pattern.format(word) for word in words} <= set(PUBLIC_TYPES)


def test_compositions_are_found():
    by_pattern = {each.pattern: words_given(each) for each in COMPOSED}
    assert {"opened", "closed", "offer_withdrawn"} <= by_pattern["gateway.enquiry.{}.v1"]
    assert {"created", "deleted"} <= by_pattern["gateway.channel.{}.v1"]
    assert {"blocked", "unblocked"} <= by_pattern["gateway.contact.{}.v1"]


def test_every_status_of_a_channel_has_its_event():
    for status in ChannelStatus:
        change = "activated" if status is ChannelStatus.ACTIVE else status.value
        assert f"gateway.channel.{change}.v1" in PUBLIC_TYPES
