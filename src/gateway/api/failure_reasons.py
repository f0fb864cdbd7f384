"""Why a message failed that no request was refused for: what its `error.code` means.

Beside the problems of requests, of which some are reasons, too (`messaging-window-closed`, …). No
answer has one of these as its status: it is that of the call that failed, 502, or 409 where the
gateway itself left off.
"""

import re
from collections.abc import Iterator
from typing import Final

from gateway.http.problems import ProblemType
from gateway.meta.error_classes import GraphRule
from gateway.meta.error_rules import RULES, UNFAMILIAR, find_rule

_META: Final = re.compile(r"meta-(?P<code>[0-9]{1,18})(?:-(?P<subcode>[0-9]{1,18}))?")

_GIVEN_UP: Final = "A message fails by it when no try got through before the message's deadline."

OWN_REASONS: Final = (
    ProblemType(
        "cancelled",
        409,
        "It was no longer wanted",
        "It was to be said automatically (a welcome, an away message, a bot's words), and a person "
        "answered before it had left.",
        "Nothing needs to be done.",
    ),
    ProblemType(
        "refused-by-third-party",
        502,
        "The third party refused it",
        "The third party took the message over, and reported later that it could not deliver it.",
        "Ask the third party why, then send the message again if it still makes sense.",
    ),
)
_OWN: Final = {kind.slug: kind for kind in OWN_REASONS}


def meta_reasons() -> Iterator[ProblemType]:
    """Return the errors of Meta's that are known, by their numbers."""
    for code, subcode in sorted(RULES, key=lambda row: (row[0], row[1] or 0)):
        yield _of_meta(code, subcode, RULES[code, subcode])


def find_failure_reason(slug: str) -> ProblemType | None:
    """Return what an `error.code` means; None for what can be none.

    Of Meta's errors each has a meaning: one that nobody has told us about says so.
    """
    given = _META.fullmatch(slug)
    if given is None:
        return _OWN.get(slug)
    code = int(given["code"])
    subcode = None if given["subcode"] is None else int(given["subcode"])
    return _of_meta(code, subcode, find_rule(code, subcode) or UNFAMILIAR)


def _of_meta(code: int, subcode: int | None, rule: GraphRule) -> ProblemType:
    numbers = str(code) if subcode is None else f"{code}, subcode {subcode}"
    return ProblemType(
        f"meta-{code}" if subcode is None else f"meta-{code}-{subcode}",
        502,
        f"Meta's error {numbers}",
        f"{rule.detail} {_GIVEN_UP}" if rule.retried else rule.detail,
        rule.remedy,
    )
