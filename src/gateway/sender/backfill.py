"""Fetches what was missed on a channel, a page of threads at a time.

Each page is a step of its own: what it showed is committed together with where the next one begins,
so that a process that dies loses nothing and doubles nothing. Nothing of a page has an effect here:
routing takes it up as events that had to wait.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.broker.partitioning import partition_of
from gateway.contracts.inbound import InboundEvent
from gateway.contracts.moments import from_rfc3339
from gateway.contracts.topics import INBOUND
from gateway.db.backfills import find_known_mids, park_missed
from gateway.db.channels import Channel, get_channel
from gateway.db.errands import Errand
from gateway.db.topics import RecordedPartitions
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.backoff import RetrySchedule
from gateway.domain.channel import ChannelStatus
from gateway.errors import UpstreamFailedError
from gateway.messaging.backfill import SINCE, can_be_backfilled
from gateway.messaging.page_access import find_page_access
from gateway.meta.graph import GraphClient
from gateway.meta.history import HistoryPage, Source, missed_events
from gateway.sender.duties import Again, Done, Duty, GoOn, Impossible, Result

_AFTER: Final = "after"
_CALL_BUDGET: Final = timedelta(seconds=15)
# Meta lets a Page read two of them a second.
_PACE: Final = timedelta(seconds=1)
_WAITS: Final = RetrySchedule(
    tuple(timedelta(seconds=each) for each in (5, 30, 120, 600, 1800, 3600, 7200))
)
_CLOSED: Final = frozenset({ChannelStatus.SUSPENDED, ChannelStatus.DELETED})

_MISSED = Counter(
    "gateway_backfilled_messages_total", "Messages that no webhook told, found at Meta."
)

log = structlog.get_logger()


class Backfill:
    """Does errands of the kind `backfill`."""

    def __init__(self, database: Database, graph: GraphClient) -> None:
        self._database = database
        self._graph = graph
        self._partitions = RecordedPartitions(database)

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(
            run=self.run,
            seconds=_CALL_BUDGET.total_seconds() + 5,
            schedule=_WAITS,
            at_once=4,
            given_up=_give_up,
        )

    async def run(self, errand: Errand) -> Result:
        """Fetch the next page of a channel's threads."""
        async with self._database.unit_of_work() as work:
            channel = await get_channel(work.connection, errand.account_id, errand.subject_id)
            access = None if channel is None else await find_page_access(work, channel)
        if channel is None or access is None:
            return Impossible("no-access")
        if channel.status in _CLOSED or not channel.holds_source or not can_be_backfilled(channel):
            return Impossible("channel-closed")
        source = Source(
            kind=channel.kind,
            source_id=channel.source_id,
            page_id=access.page_id,
            meta_app_id=channel.meta_app_id or "",
        )
        try:
            page = await self._graph.read_history(
                access, source, after=errand.data.get(_AFTER), budget=_CALL_BUDGET
            )
        except UpstreamFailedError:
            return Again("upstream-failed")
        return await self._take(errand, channel, source, page)

    async def _take(
        self, errand: Errand, channel: Channel, source: Source, page: HistoryPage
    ) -> Result:
        since, now = from_rfc3339(errand.data[SINCE]), self._database.clock.now()
        partitions = await self._partitions.find(INBOUND)
        if partitions is None:
            return Again("no-topic", counts=False)
        events = _events(page, source, since=since, now=now)
        found = {
            mid: (event, partition_of(event.key.encode(), partitions))
            for mid, event in events.items()
        }

        async def effect(work: UnitOfWork) -> None:
            known = await find_known_mids(work.connection, channel.id, found)
            missed = [each for mid, each in found.items() if mid not in known]
            await park_missed(work.connection, channel, missed, now=work.now)
            _MISSED.inc(len(missed))

        over = page.after is None or any(thread.updated_at < since for thread in page.threads)
        if over:
            return Done(effect)
        data = {SINCE: errand.data[SINCE], _AFTER: page.after}
        return GoOn(due_at=now + _PACE, data=data, effect=effect)


def _events(
    page: HistoryPage, source: Source, *, since: datetime, now: datetime
) -> dict[str, InboundEvent]:
    """Return what was said in a page's threads since a moment, by mid, in order for each thread."""
    return {
        mid: event
        for thread in page.threads
        for mid, event in missed_events(thread, source, since=since, now=now)
    }


async def _give_up(_work: UnitOfWork, errand: Errand, reason: str) -> None:
    """Leave it: the channel's return asks again, and so may anybody."""
    log.warning("backfill.given_up", channel_id=errand.subject_id, reason=reason)
