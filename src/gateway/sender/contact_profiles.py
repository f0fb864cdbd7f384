"""Asks Meta what those are called who write to Pages."""

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.db.channels import Channel, get_channel
from gateway.db.contacts import get_contact
from gateway.db.errands import Errand
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.domain.backoff import RetrySchedule
from gateway.domain.channel import ChannelStatus
from gateway.errors import UpstreamFailedError
from gateway.messaging.contact_profiles import take_profile
from gateway.messaging.page_access import find_page_access
from gateway.meta.graph import PageAccess
from gateway.meta.profiles import Profiles, ProfilesForbiddenError
from gateway.sender.duties import Again, Done, Duty, Result

_CALL_SECONDS: Final = 25.0
_AT_ONCE: Final = 4
_WAITS: Final = RetrySchedule(tuple(timedelta(seconds=each) for each in (5, 60, 600, 3600, 21_600)))
# A Page that may not read profiles is not asked about each of its visitors.
_PAUSE: Final = timedelta(hours=1)
_MOST_PAUSES: Final = 10_000

_PROFILES: Final = Counter(
    "gateway_contact_profiles_total",
    "Questions to Meta what a contact is called, by outcome: told, withheld (of this person), "
    "forbidden (to the Page, which is not asked again for an hour) or away.",
    ["outcome"],
)

log = structlog.get_logger()


class ContactProfiles:
    """Does errands of the kind `contact_profile`."""

    def __init__(self, database: Database, profiles: Profiles) -> None:
        self._database = database
        self._profiles = profiles
        self._paused: dict[str, datetime] = {}

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(
            run=self.run,
            seconds=_CALL_SECONDS,
            schedule=_WAITS,
            at_once=_AT_ONCE,
            given_up=_give_up,
        )

    async def run(self, errand: Errand) -> Result:
        """Ask what a contact is called."""
        async with self._database.unit_of_work() as work:
            contact = await get_contact(work.connection, errand.account_id, errand.subject_id)
            if contact is None or contact.erased_at is not None:
                return Done()
            channel = await get_channel(work.connection, errand.account_id, contact.channel_id)
            access = None if channel is None else await _access(work, channel)
        if channel is None or access is None or self._is_paused(channel):
            # The contact's next message asks again.
            return Done()
        try:
            profile = await self._profiles.read(access, channel.kind, contact.source_contact_id)
        except ProfilesForbiddenError:
            _PROFILES.labels("forbidden").inc()
            self._pause(channel)
            return Done()
        except UpstreamFailedError:
            _PROFILES.labels("away").inc()
            return Again("upstream-failed")
        _PROFILES.labels("told" if profile else "withheld").inc()
        return Done(partial(take_profile, channel=channel, contact_id=contact.id, profile=profile))

    def _is_paused(self, channel: Channel) -> bool:
        until = self._paused.get(channel.id)
        return until is not None and self._database.clock.now() < until

    def _pause(self, channel: Channel) -> None:
        if len(self._paused) >= _MOST_PAUSES:
            self._paused.clear()
        self._paused[channel.id] = self._database.clock.now() + _PAUSE
        log.info("profiles.forbidden", channel_id=channel.id)


async def _access(work: UnitOfWork, channel: Channel) -> PageAccess | None:
    if not channel.holds_source or channel.status is ChannelStatus.DISCONNECTED:
        return None
    return await find_page_access(work, channel)


async def _give_up(_work: UnitOfWork, _errand: Errand, _reason: str) -> None:
    """Leave it: the contact's next message asks again."""
