"""Graph's errors: how they are read, and what each comes to.

Meta answers `{"error": {"code", "error_subcode", …}}` and documents neither the HTTP status nor
whether a repeat helps, so calls are judged by code and subcode, then by `is_transient`, and by the
status only where these say nothing.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from gateway.domain.delivery import (
    Outcome,
    Reauthenticate,
    Refused,
    Retry,
    SendError,
    Throttle,
    WindowRefused,
)
from gateway.meta.error_classes import GraphClass, GraphRule
from gateway.meta.error_rules import (
    RULES,
    UNFAMILIAR,
    UNFAMILIAR_RETRY,
    UNFAMILIAR_THROTTLE,
    find_rule,
)

# Where Meta does not say when it will listen again.
THROTTLE_WAIT: Final = timedelta(seconds=60)
_SERVER_ERROR: Final = 500
_TOO_MANY_REQUESTS: Final = 429
# Limits of business use cases; those that are not in the table are limits as well.
_BUSINESS_LIMITS: Final = range(80_000, 80_100)


@dataclass(frozen=True, slots=True)
class GraphFault:
    """An error as Graph worded it."""

    code: int
    subcode: int | None = None
    message: str = ""
    transient: bool = False

    @property
    def slug(self) -> str:
        """The code as messages show it: `meta-<code>[-<subcode>]`."""
        return f"meta-{self.code}" + (f"-{self.subcode}" if self.subcode is not None else "")


def parse_fault(document: object) -> GraphFault | None:
    """Return the error that an answer's JSON holds, in any of Graph's shapes; None without one."""
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if not isinstance(error, dict):
        # Instagram's older shape has it all on top.
        if "error_message" not in document and "error_type" not in document:
            return None
        error = document | {"message": document.get("error_message")}
    code = _whole(error.get("code"))
    if code is None:
        return None
    message = error.get("message")
    return GraphFault(
        code,
        _whole(error.get("error_subcode")),
        message if isinstance(message, str) else "",
        error.get("is_transient") is True,
    )


def classify(
    fault: GraphFault,
    *,
    http_status: int,
    retry_after: timedelta | None = None,
    regain_after: timedelta | None = None,
) -> Outcome:
    """Return what a parseable Graph error comes to.

    `regain_after` is what the usage headers say about when calls are let through again. A wait is
    the longest that anybody asked for.
    """
    rule = judge_fault(fault, http_status)
    error = SendError(fault.slug, rule.detail, rule.remedy, rule.retried)
    asked = max((each for each in (retry_after, regain_after) if each is not None), default=None)
    outcome: Outcome
    match rule.graph_class:
        case GraphClass.RETRY:
            outcome = Retry(error, asked, rule.tries)
        case GraphClass.THROTTLE:
            outcome = Throttle(error, asked or THROTTLE_WAIT, rule.wide)
        case GraphClass.REAUTHENTICATE:
            assert rule.status is not None
            assert rule.reason is not None
            outcome = Reauthenticate(error, rule.status, rule.reason)
        case GraphClass.WINDOW:
            outcome = WindowRefused(error)
        case GraphClass.PERMANENT:
            outcome = Refused(error)
    return outcome


def judge_fault(fault: GraphFault, http_status: int) -> GraphRule:
    """Return the rule that an error goes by: the table's, else what Meta says of it, its status.

    Where the table knows the code alone, Meta's word that the fault is passing counts more.
    """
    rule = find_rule(fault.code, fault.subcode)
    if rule is None:
        return _judge_unfamiliar(fault, http_status)
    exact = (fault.code, fault.subcode) in RULES
    if fault.transient and not exact and rule.graph_class is GraphClass.PERMANENT:
        return UNFAMILIAR_RETRY
    return rule


def is_familiar(fault: GraphFault) -> bool:
    """Say whether the table knows an error; those that it does not know are counted."""
    return find_rule(fault.code, fault.subcode) is not None


def _whole(value: Any) -> int | None:  # noqa: ANN401 - JSON
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:  # noqa: PLR2004 - fits 64 bits
        return int(value)
    return None


def _judge_unfamiliar(fault: GraphFault, http_status: int) -> GraphRule:
    if http_status == _TOO_MANY_REQUESTS or fault.code in _BUSINESS_LIMITS:
        return UNFAMILIAR_THROTTLE
    if fault.transient or http_status >= _SERVER_ERROR:
        return UNFAMILIAR_RETRY
    return UNFAMILIAR
