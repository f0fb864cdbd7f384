"""Meta's usage headers: how much of its limits an answer says is used up.

`X-App-Usage` and `X-Page-Usage` hold `{"call_count", "total_cputime", "total_time"}`, each in per
cent. `X-Business-Use-Case-Usage` holds, by business object, lists of such with a `type` and
`estimated_time_to_regain_access` in minutes. (Graph API, "Rate limits": the limit is reached when
any of the three is at 100.) What is not in these shapes counts as not said.
"""

import json
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NoReturn, Protocol

from gateway.domain.usage import Usage, fullest

APP_USAGE: Final = "x-app-usage"
PAGE_USAGE: Final = "x-page-usage"
BUSINESS_USAGE: Final = "x-business-use-case-usage"

# 32 business objects of several types fit in well.
_MAX_CHARACTERS: Final = 16_384
_MAX_PERCENT: Final = 1000
_MAX_MINUTES: Final = 24 * 60
_COUNTS: Final = ("call_count", "total_cputime", "total_time")
_REGAIN: Final = "estimated_time_to_regain_access"
# Limits of advertisements limit no message.
_FOREIGN_TYPES: Final = frozenset(
    {"ads_insights", "ads_management", "ads_reporting", "custom_audience", "leadgen"}
)


class Headers(Protocol):
    """An answer's headers, by names in lower case."""

    def get(self, key: str, default: str = "") -> str:
        """Return a header's value."""
        ...


def app_usage(headers: Headers) -> Usage | None:
    """Return how much of the whole app's limit is used up."""
    return _plain(headers.get(APP_USAGE, ""))


def page_usage(headers: Headers) -> Usage | None:
    """Return how much of the Page's own limits is used up."""
    return fullest(_business(headers.get(BUSINESS_USAGE, "")), _plain(headers.get(PAGE_USAGE, "")))


# Answers repeat one another: a per cent is many calls.
@lru_cache(maxsize=512)
def _plain(header: str) -> Usage | None:
    return _usage(_parse(header))


@lru_cache(maxsize=2048)
def _business(header: str) -> Usage | None:
    document = _parse(header)
    if not isinstance(document, dict):
        return None
    told = [
        _usage(entry)
        for entries in document.values()
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") not in _FOREIGN_TYPES
    ]
    return fullest(*told)


def _usage(entry: object) -> Usage | None:
    if not isinstance(entry, dict):
        return None
    counts = [count for name in _COUNTS if (count := _number(entry.get(name))) is not None]
    minutes = _number(entry.get(_REGAIN))
    if not counts and minutes is None:
        return None
    regain = timedelta(minutes=min(minutes, _MAX_MINUTES)) if minutes else None
    return Usage(min(max(counts, default=0), _MAX_PERCENT), regain)


def _number(value: Any) -> int | None:  # noqa: ANN401 - JSON
    """Return a number that is not negative, part of one counted as whole; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    # A float may be larger than any integer that is of use here.
    return int(min(value, _MAX_PERCENT * _MAX_MINUTES) + 0.999)


def _parse(header: str) -> object:
    if not header or len(header) > _MAX_CHARACTERS:
        return None
    try:
        return json.loads(header, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("not a number")
