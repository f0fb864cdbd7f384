"""Moments: as the contracts write them, and as sources outside give them."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Facebook's first day. What is earlier is no moment of anything that posts here.
_EARLIEST: Final = (datetime(2004, 2, 4, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_SECONDS_BELOW: Final = 10**12
_MAX_CHARACTERS: Final = 40


# Much of what is told at once has the same moment: the transaction's.
@lru_cache(maxsize=1024)
def rfc3339(moment: datetime) -> str:
    """Return an aware moment as RFC 3339 in UTC, milliseconds, `Z`; what is finer is cut off."""
    return utc_text(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


def utc_text(moment: datetime) -> str:
    """Return what `rfc3339` does for a moment in UTC that is told once, which is quicker so."""
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def from_rfc3339(text: str) -> datetime:
    """Return the moment in UTC.

    Raises:
        ValueError: the text is no moment, or one without an offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a moment outside the calendar") from error


def whole_milliseconds(moment: datetime) -> datetime:
    """Return an aware moment in UTC without what is finer than a millisecond, as it is written."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # Half the time of replacing the microseconds.
    return utc - timedelta(microseconds=utc.microsecond % 1000)


def as_moment(value: object) -> datetime | None:
    """Return the moment that a source gave, in whole milliseconds; None for what is none or absurd.

    A number, also as text, counts seconds below 10^12 and milliseconds from there on. Other text
    has to be ISO 8601 with an offset. Absurd is whatever lies before 2004 or after the year 9999.
    """
    if type(value) is int or isinstance(value, float):
        return _from_count(value)
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS:
        return None
    try:
        return _from_count(int(value) if value.isascii() and value.isdigit() else float(value))
    except ValueError:
        return _from_iso(value)


def moment_text(value: object) -> str | None:
    """Return the moment that a source gave as RFC 3339, None for what is none or absurd."""
    moment = as_moment(value)
    return None if moment is None else rfc3339(moment)


def _from_count(count: float) -> datetime | None:
    # This order of comparison is false for NaN, too.
    if not -_LATEST <= count <= _LATEST:
        return None
    milliseconds = int(count * 1000 if count < _SECONDS_BELOW else count)
    if _EARLIEST <= milliseconds <= _LATEST:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    return None


def _from_iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        return _from_count((moment - _EPOCH) // _MILLISECOND)
    except (ValueError, OverflowError):
        return None
