"""Write docs/meta-errors.md from the table of Graph's error codes; with --check, only compare."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.meta.error_classes import GraphClass, GraphRule
from gateway.meta.error_rules import RULES, UNFAMILIAR, UNFAMILIAR_RETRY, UNFAMILIAR_THROTTLE

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "docs" / "meta-errors.md"

_HEAD: Final = """\
<!-- Generated from src/gateway/meta/error_rules.py by `make meta-errors`; change that instead. -->
# Errors of Meta's

What the gateway makes of an error that Meta answers to a message. A message that failed says it in
`error.code`, as `meta-<code>` or `meta-<code>-<subcode>`; `GET /problems/<that>` says the same as
this page. [Retries](retries.md) says when and how long messages are tried again.

- **retry**: tried again, until the message's deadline unless the table has a number of attempts.
- **throttle**: tried again when Meta lets calls through, and no earlier. The Page rests until then;
  of a limit of the app, all of its Pages do.
- **reauthenticate**: the channel takes the state and reason shown. Where its messages are held,
  this one waits with them and leaves once the channel is well; else it fails.
- **window**: the message fails, because the messaging window is closed.
- **permanent**: the message fails after this one call.

Codes from 201 to 299 go by the row of 200. A subcode that is not listed goes by its code's row, but
for 10 and 200 to 299, whose own rows would blame the channel: it is a permanent error of that
message. Numbers over 1,000,000 that are listed as codes are found as subcodes, too.

| code | subcode | class | tried again | channel | what happened | what to do |
|---|---|---|---|---|---|---|
"""
_UNFAMILIAR: Final = """
## Codes that are not listed

They are counted in `gateway_graph_errors_total{code="other"}`, and each is logged as
`graph.unfamiliar_error`.

| when | class | tried again | what happened | what to do |
|---|---|---|---|---|
"""
_TRIED: Final = {
    GraphClass.RETRY: "until its deadline",
    GraphClass.THROTTLE: "until its deadline",
    GraphClass.REAUTHENTICATE: "no",
    GraphClass.WINDOW: "no",
    GraphClass.PERMANENT: "no",
}
_CASES: Final = (
    ("Meta answered 429", UNFAMILIAR_THROTTLE),
    ("Meta said `is_transient`, or answered 5xx", UNFAMILIAR_RETRY),
    ("otherwise", UNFAMILIAR),
)


def document() -> str:
    """Return the page."""
    rows = sorted(RULES.items(), key=lambda row: (row[0][0], row[0][1] or 0))
    listed = "".join(_row(code, subcode, rule) for (code, subcode), rule in rows)
    others = "".join(
        f"| {when} | {rule.graph_class} | {_tried(rule)} | {rule.detail} | {rule.remedy} |\n"
        for when, rule in _CASES
    )
    return _HEAD + listed + _UNFAMILIAR + others


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on differences")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where it is")
    chosen = parser.parse_args(arguments)
    path: Path = chosen.document
    text = document()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if chosen.check:
        print(f"{path.name} is not what the code says: make meta-errors", file=sys.stderr)
        return 1
    path.write_text(text, encoding="utf-8")
    print(f"{path.name} written")
    return 0


def _row(code: int, subcode: int | None, rule: GraphRule) -> str:
    shown = "-" if subcode is None else str(subcode)
    cells = (str(code), shown, rule.graph_class, _tried(rule), _channel(rule))
    return f"| {' | '.join(cells)} | {rule.detail} | {rule.remedy} |\n"


def _tried(rule: GraphRule) -> str:
    if rule.tries is not None:
        return f"{rule.tries} attempts in all"
    return "once the channel is well" if rule.holds else _TRIED[rule.graph_class]


def _channel(rule: GraphRule) -> str:
    if rule.status is None:
        return "all of the app's rest" if rule.wide else "-"
    return f"{rule.status}, `{rule.reason}`" + ("; messages held" if rule.holds else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
