"""Lets a Page go: what is told to Meta, at once or when Meta is there to be told.

The channel is free of its Page either way. Its token is kept until Meta has been told, or until
that was given up, and no longer.
"""

from datetime import timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.db.channels import Channel
from gateway.db.errands import NewErrand, set_errands
from gateway.db.unit_of_work import UnitOfWork

PAGE_LEAVE: Final = "page_leave"

# Meta did not answer a moment ago.
_FIRST_WAIT: Final = timedelta(seconds=5)
_PAGES_LEFT: Final = Counter(
    "gateway_pages_left_total",
    "Pages that channels let go, by what came of taking the app off: unsubscribed, refused (the "
    "token is dead), held (another channel lives by the Page), away (to be tried again), given_up.",
    ["outcome"],
)

log = structlog.get_logger()


def note_leaving(channel_id: str, outcome: str) -> None:
    """Count and log what came of taking the app off a Page."""
    _PAGES_LEFT.labels(outcome).inc()
    log.info("page.left", channel_id=channel_id, outcome=outcome)


async def leave_later(work: UnitOfWork, channel: Channel) -> None:
    """Have the app taken off a channel's Page by the token that the channel still has."""
    errand = NewErrand(
        account_id=channel.account_id,
        kind=PAGE_LEAVE,
        subject_id=channel.id,
        due_at=work.now + _FIRST_WAIT,
    )
    await set_errands(work, [errand])
