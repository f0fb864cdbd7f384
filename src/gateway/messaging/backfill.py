"""Asks for what was missed: the newest messages of a Page's threads are fetched from Meta."""

from datetime import datetime, timedelta
from typing import Final

from gateway.contracts.moments import rfc3339
from gateway.db.backfills import find_last_words
from gateway.db.channels import Channel
from gateway.db.errands import NewErrand, set_errands
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind

BACKFILL: Final = "backfill"
SINCE: Final = "since"

# For so long Meta repeats what it could not deliver, before it takes the app off the Page.
_REPEATED: Final = timedelta(hours=1)
FURTHEST: Final = timedelta(days=7)


async def request_backfill(
    work: UnitOfWork, channel: Channel, *, since: datetime | None = None
) -> datetime:
    """Have fetched what was said since a moment, and return it.

    Without one: since an hour before anything was last said here, as Meta repeats for an hour what
    it cannot deliver; seven days at most. A back-fill that runs begins anew.
    """
    if since is None:
        last = await find_last_words(work.connection, channel.id)
        since = (channel.connected_at if last is None else last) - _REPEATED
    since = max(since, work.now - FURTHEST)
    errand = NewErrand(
        account_id=channel.account_id,
        kind=BACKFILL,
        subject_id=channel.id,
        due_at=work.now,
        data={SINCE: rfc3339(since)},
    )
    await set_errands(work, [errand])
    return since


async def fetch_missed(work: UnitOfWork, channel: Channel) -> None:
    """Have fetched what no webhook told while a channel was not well, if it can be."""
    if can_be_backfilled(channel):
        await request_backfill(work, channel)


def can_be_backfilled(channel: Channel) -> bool:
    """Say whether a channel's platform keeps conversations that can be read."""
    return channel.kind is not ChannelKind.THIRD_PARTY
