"""Looks after channels on a schedule: probes Pages, challenges third parties' addresses.

Probes are spread, never in step, and stretched where there are many Pages: all of them together
make less than a call a second.
"""

import asyncio
import random
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.db.channels import get_channel
from gateway.db.errands import Errand, NewErrand, set_errands
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.db.watching import count_pages, find_unwatched
from gateway.domain.backoff import RetrySchedule
from gateway.domain.channel import ChannelKind
from gateway.errors import ChallengeFailedError, GatewayError, UpstreamFailedError
from gateway.messaging.page_access import probe_access
from gateway.messaging.probing import (
    PROBE,
    WEBHOOK_CHECK,
    take_challenge,
    take_page,
    take_refusal,
)
from gateway.meta.page_findings import PageRefusedError
from gateway.meta.pages import PageConnector
from gateway.net.challenge import challenge
from gateway.net.egress import Egress
from gateway.sender.duties import Again, Done, Duty, GoOn, Result

CALLS_A_PROBE: Final = 3
# Of calls a second, for the probes of a whole instance.
CALLS_A_SECOND: Final = 0.9
_PROBE_SECONDS: Final = 40.0
_CHECK_SECONDS: Final = 20.0
_JITTER: Final = 0.2
_AWAY: Final = RetrySchedule((timedelta(seconds=60),), endless=True)
_SWEEP_SECONDS: Final = 30.0
_BATCH: Final = 500

log = structlog.get_logger()


def probe_interval(pages: int, *, seconds: float) -> timedelta:
    """Return how long after a probe a Page is probed again, when there are so many."""
    return timedelta(seconds=max(seconds, pages * CALLS_A_PROBE / CALLS_A_SECOND))


def spread(interval: timedelta) -> timedelta:
    """Return an interval ± 20 %, so that channels do not come to be looked at in step."""
    return interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - nothing secret


class ChannelProbes:
    """Does errands of the kind `channel_probe`."""

    def __init__(self, database: Database, pages: PageConnector, *, seconds: float) -> None:
        self._database = database
        self._pages = pages
        self._seconds = seconds

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(run=self.run, seconds=_PROBE_SECONDS, schedule=_AWAY, at_once=2)

    async def run(self, errand: Errand) -> Result:
        """Probe a Page, and have it probed again in time."""
        async with self._database.unit_of_work() as work:
            channel = await get_channel(work.connection, errand.account_id, errand.subject_id)
            access = None if channel is None else await probe_access(work, channel)
            interval = probe_interval(await count_pages(work.connection), seconds=self._seconds)
        if channel is None or access is None:
            return Done()
        app, wanted = access
        found = None
        reason = None
        try:
            found = await self._pages.probe(app, wanted, expected=channel.subscribed_fields)
        except PageRefusedError as error:
            reason = error.reason
        except UpstreamFailedError:
            return Again("upstream-failed")

        async def effect(work: UnitOfWork) -> None:
            if found is not None:
                await take_page(work, channel, found)
            elif reason is not None:
                await take_refusal(work, channel, reason)

        due_at = self._database.clock.now() + spread(interval)
        return GoOn(due_at=due_at, data={}, effect=effect)


class WebhookChecks:
    """Does errands of the kind `webhook_check`."""

    def __init__(self, database: Database, egress: Egress, *, seconds: float) -> None:
        self._database = database
        self._egress = egress
        self._seconds = seconds

    def duty(self) -> Duty:
        """Return what the errands' runner has to know."""
        return Duty(run=self.run, seconds=_CHECK_SECONDS, schedule=_AWAY, at_once=8)

    async def run(self, errand: Errand) -> Result:
        """Challenge a third party's address, and have it challenged again in time."""
        async with self._database.unit_of_work() as work:
            channel = await get_channel(work.connection, errand.account_id, errand.subject_id)
            if channel is None or channel.kind is not ChannelKind.THIRD_PARTY:
                return Done()
            secrets = channel.open_signing_secrets(work.keyring, work.now)
        url = channel.outgoing_webhook_url
        if url is None or channel.deleted_at is not None:
            return Done()
        passed = await self._passes(url, secrets)

        async def effect(work: UnitOfWork) -> None:
            await take_challenge(work, channel, passed=passed)

        due_at = self._database.clock.now() + spread(timedelta(seconds=self._seconds))
        return GoOn(due_at=due_at, data={}, effect=effect)

    async def _passes(self, url: str, secrets: list[str]) -> bool:
        try:
            await challenge(self._egress, url, secrets, pointer="")
        except ChallengeFailedError:
            return False
        except GatewayError as error:
            # An address that leads nowhere, or where we do not go, answers no challenge either.
            log.info("webhook.not_challenged", error=type(error).__name__)
            return False
        return True


class Watch:
    """Sets the errands of channels that have none: new ones, and those of earlier releases."""

    def __init__(self, database: Database, *, probe_seconds: float, check_seconds: float) -> None:
        self._database = database
        self._kinds = ((PROBE, False, probe_seconds), (WEBHOOK_CHECK, True, check_seconds))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("watch.failed", error=type(error).__name__)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def look(self) -> int:
        """Set what is missing, each due at some time of its first interval; return how many."""
        found = 0
        for kind, third_party, seconds in self._kinds:
            async with self._database.unit_of_work() as work:
                unwatched = await find_unwatched(
                    work.connection, kind, third_party=third_party, limit=_BATCH
                )
                errands = [
                    NewErrand(
                        account_id=account_id,
                        kind=kind,
                        subject_id=channel_id,
                        due_at=work.now + timedelta(seconds=random.uniform(0, seconds)),  # noqa: S311 - spread
                    )
                    for account_id, channel_id in unwatched
                ]
                await set_errands(work, errands)
            found += len(unwatched)
        return found
