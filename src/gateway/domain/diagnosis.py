"""What a diagnosis consists of: checks, each with what was seen and what to do about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class CheckResult(StrEnum):
    """How a check came out; `warning` works for now, or in part."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a diagnosis. `remedy` is None only where nothing is wrong."""

    check: str
    result: CheckResult
    seen: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """Nothing is known of something: why, in a sentence, and what would help."""

    why: str
    remedy: str


ASK_LATER: Final = "Wait a moment and diagnose the channel again; see metastatus.com if it lasts."


def ok(check: str, seen: str) -> Check:
    """Return a check that nothing is wrong with."""
    return Check(check, CheckResult.OK, seen)


def warning(check: str, seen: str, remedy: str) -> Check:
    """Return a check of something that works for now, or in part."""
    return Check(check, CheckResult.WARNING, seen, remedy)


def failed(check: str, seen: str, remedy: str) -> Check:
    """Return a check of something that does not work."""
    return Check(check, CheckResult.FAILED, seen, remedy)


def unknown(check: str, unseen: Unseen) -> Check:
    """Return a check that could not be made."""
    return Check(check, CheckResult.UNKNOWN, unseen.why, unseen.remedy)


def minute_of(moment: datetime) -> str:
    """Return a moment in words, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
