"""When somebody is told that a token ends soon."""

from datetime import datetime, timedelta
from typing import Final

# At so many days left; each is told once.
WARNINGS: Final = (1, 7, 14)


def warning_due(
    expires_at: datetime | None, now: datetime, *, warned_days: int | None
) -> int | None:
    """Return at how many days left to warn now, or None; `warned_days` was told last."""
    if expires_at is None or expires_at <= now:
        return None
    due = next((days for days in WARNINGS if expires_at - now <= timedelta(days=days)), None)
    if due is None or (warned_days is not None and warned_days <= due):
        return None
    return due
