"""Whatever a message's `error.code` may be, it is explained."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.support.graph_codes import DOCUMENTED

import gateway
from gateway.api.failure_reasons import find_failure_reason
from gateway.http.problems import ALL_PROBLEM_TYPES

SOURCES = Path(gateway.__file__).parent


def test_every_code_that_the_gateway_gives_a_message_is_explained():
    explained = {kind.slug for kind in ALL_PROBLEM_TYPES}
    codes = set(_codes())
    assert {"upstream-failed", "messaging-window-closed", "cancelled"} <= codes
    assert {code for code in codes if code not in explained and not find_failure_reason(code)} == (
        set()
    )


def _codes() -> Iterator[str]:
    """Return the codes that the sources write: those of `SendError`s, and of errors as JSON."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SendError":
                yield from _texts(node.args[:1])
            elif isinstance(node, ast.Dict) and "retryable" in _texts(node.keys):
                yield from _texts(node.values[:1])


def _texts(nodes: Iterable[ast.expr | None]) -> list[str]:
    """Return those of some expressions that are texts."""
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


@pytest.mark.parametrize("row", DOCUMENTED, ids=lambda row: row.name)
def test_every_documented_error_of_metas_is_explained(row):
    kind = find_failure_reason(row.name)
    assert (kind.slug, kind.status) == (row.name, 502)
    assert kind.title.startswith("Meta's error ")
    assert kind.cause
    assert kind.remedy


def test_an_unfamiliar_subcode_is_explained_by_its_code_and_an_unfamiliar_code_as_such():
    known, unknown = find_failure_reason("meta-190"), find_failure_reason("meta-190-99999")
    assert (unknown.cause, unknown.remedy) == (known.cause, known.remedy)
    assert "does not know" in find_failure_reason("meta-4711").cause


@pytest.mark.parametrize(
    "slug",
    ["", "meta-", "meta-x", "meta-1-2-3", "meta-1-", "meta-" + "9" * 30, "meta-\uff11", "odd"],
)
def test_what_is_no_code_is_not_explained(slug):
    assert find_failure_reason(slug) is None
