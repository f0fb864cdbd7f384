"""Takes the app off Pages that channels let go while Meta did not answer."""

from datetime import timedelta
from functools import partial
from typing import Final

from gateway.db.channel_writes import find_sharing_page, forget_kept_token
from gateway.db.channels import Channel, get_channel
from gateway.db.errands import Errand
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.backoff import RetrySchedule
from gateway.errors import UpstreamFailedError
from gateway.messaging.leaving import note_leaving
from gateway.messaging.page_access import find_page_access
from gateway.messaging.probing import probe_soon
from gateway.meta.graph import PageAccess
from gateway.meta.page_findings import PageRefusedError
from gateway.meta.pages import PageConnector
from gateway.sender.duties import Again, Done, Duty, GoOn, Result

_LEFT: Final = "left"
_CALL_SECONDS: Final = 30.0
_WAITS: Final = RetrySchedule(
    tuple(timedelta(seconds=each) for each in (30, 120, 600, 3600, 21_600, 86_400))
)
# Longer than connecting a Page may take: who subscribed to it before our call has their channel
# by then.
_CONNECTING: Final = timedelta(seconds=60)


class PageLeaving:
    """Does errands of the kind `page_leave`.

    A Page that a channel holds again is left alone. One that is being connected just while the app
    is taken off is not seen by that: whoever holds the Page a minute later is probed, and a probe
    subscribes to it again and fetches what was missed.
    """

    def __init__(self, database: Database, pages: PageConnector) -> None:
        self._database = database
        self._pages = pages

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(
            run=self.run,
            seconds=_CALL_SECONDS,
            schedule=_WAITS,
            at_once=4,
            given_up=self.give_up,
        )

    async def run(self, errand: Errand) -> Result:
        """Take the app off a Page; a minute later, see that nobody came to harm by that."""
        async with self._database.unit_of_work() as work:
            channel = await get_channel(work.connection, errand.account_id, errand.subject_id)
            if channel is None:
                return Done()
            access = await find_page_access(work, channel)
            held = bool(await find_sharing_page(work.connection, channel))
        if errand.data.get(_LEFT):
            return Done(partial(_look_after_others, channel))
        if held:
            note_leaving(channel.id, "held")
        elif access is not None:
            return await self._leave(channel, access)
        return Done(partial(_forget_token, channel))

    async def _leave(self, channel: Channel, access: PageAccess) -> Result:
        try:
            await self._pages.disconnect(access)
        except PageRefusedError:
            note_leaving(channel.id, "refused")
            return Done(partial(_forget_token, channel))
        except UpstreamFailedError:
            note_leaving(channel.id, "away")
            return Again("upstream-failed")
        note_leaving(channel.id, "unsubscribed")
        due_at = self._database.clock.now() + _CONNECTING
        return GoOn(due_at=due_at, data={_LEFT: True}, effect=partial(_look_after_others, channel))

    async def give_up(self, work: UnitOfWork, errand: Errand, _reason: str) -> None:
        """Forget the token; what Meta still tells of the Page has no effect."""
        note_leaving(errand.subject_id, "given_up")
        channel = await get_channel(work.connection, errand.account_id, errand.subject_id)
        if channel is not None:
            await _forget_token(channel, work)


async def _forget_token(channel: Channel, work: UnitOfWork) -> None:
    await forget_kept_token(work.connection, channel)


async def _look_after_others(channel: Channel, work: UnitOfWork) -> None:
    """Have those probed who hold the Page by now."""
    await _forget_token(channel, work)
    for each in await find_sharing_page(work.connection, channel):
        await probe_soon(work, each)
