"""Limits of calls: counted for each hour, told in headers, and refused once they are used up.

Meta's windows roll; ours are the hours of the sandbox's clock, so that a test knows when they end.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.sandbox.errors import GraphError
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.world import App, Page

_APP_REFUSAL: Final = 4
_PAGE_REFUSAL: Final = 80006
# 300 calls a second, as Meta allows a Page.
_USUAL: Final = 300 * 3600
_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000


class CallLimits:
    """The calls of this hour, of each app and of each Page."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._hour = 0
        self._calls: dict[tuple[str, str], int] = {}

    def count(self, app: App | None, page: Page | None) -> None:
        """Count a call.

        Raises:
            GraphError: The app or the Page has made as many as it may.
        """
        hour = self._timeline.millis() // _HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._calls.clear()
        app_percent = self._count("app", app.app_id if app else "", _limit(app))
        page_percent = self._count("page", page.page_id if page else "", _limit(page))
        if app is not None and app.calls_per_hour is not None and app_percent > 100:  # noqa: PLR2004 - per cent
            raise GraphError(_APP_REFUSAL)
        if page is not None and page.calls_per_hour is not None and page_percent > 100:  # noqa: PLR2004 - per cent
            raise GraphError(_PAGE_REFUSAL)

    def headers(self, app: App | None, page: Page | None) -> dict[str, str]:
        """Return the headers that tell how much is used up."""
        headers = {
            "X-App-Usage": _text(_usage(self._percent("app", app.app_id if app else "", app)))
        }
        if page is not None:
            percent = self._percent("page", page.page_id, page)
            left = _HOUR_MS - self._timeline.millis() % _HOUR_MS
            usage = {
                "type": "messenger",
                **_usage(percent),
                "estimated_time_to_regain_access": (
                    -(-left // _MINUTE_MS) if percent >= 100 else 0  # noqa: PLR2004 - per cent
                ),
            }
            business = page.business_id or page.page_id
            headers["X-Business-Use-Case-Usage"] = _text({business: [usage]})
        return headers

    def _count(self, kind: str, who: str, limit: int) -> float:
        key = (kind, who)
        self._calls[key] = self._calls.get(key, 0) + 1
        return self._calls[key] * 100 / limit

    def _percent(self, kind: str, who: str, counted: App | Page | None) -> int:
        percent = self._calls.get((kind, who), 0) * 100 // _limit(counted)
        # Nobody is refused by a limit that was not set.
        return percent if counted is not None and counted.calls_per_hour else min(percent, 99)


def _limit(counted: App | Page | None) -> int:
    return (None if counted is None else counted.calls_per_hour) or _USUAL


def _usage(percent: int) -> dict[str, Any]:
    return {"call_count": percent, "total_cputime": 0, "total_time": 0}


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
