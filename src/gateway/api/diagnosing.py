"""Looks into a channel: asks whoever is outside, writes down what that shows, and makes the checks.

A diagnosis counts as a probe, so that what it finds and what the channel says are one. No
transaction is open while others are called, and none of them fails the diagnosis.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.api.channel_resources import existing_channel
from gateway.api.parts import ApiParts
from gateway.api.source_changes import signing_secrets
from gateway.db.channels import Channel
from gateway.db.diagnosis import Traffic, read_traffic
from gateway.db.secrets import UndecryptableError
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.channel import ChannelKind, ChannelStatus
from gateway.domain.diagnosis import ASK_LATER, Check, Unseen
from gateway.domain.page_checks import (
    PageFacts,
    Refusal,
    access_checks,
    integration_checks,
    state_checks,
)
from gateway.domain.third_party_checks import ThirdPartyFacts, third_party_checks
from gateway.domain.traffic_checks import Takers, TrafficFacts, traffic_checks
from gateway.errors import ChallengeFailedError, GatewayError, UpstreamFailedError
from gateway.http.exchange import Exchange
from gateway.messaging.page_access import probe_access
from gateway.messaging.probing import take_challenge, take_page, take_refusal
from gateway.meta.page_facts import SeenFacts, facts_of, nothing_seen
from gateway.meta.page_findings import ConnectedPage, PageRefusedError
from gateway.net.challenge import challenge

# Somebody waits for the answer; who does not answer by then is told of as silent.
_BUDGET: Final = timedelta(seconds=20)
_SLOW: Final = Unseen("Meta took too long to answer.", ASK_LATER)
_NO_TOKEN: Final = Unseen(
    "Meta cannot be asked: the channel has no token that can be used.",
    "Connect the Page again: re-authenticate the channel, or give it a Page token.",
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a look into a channel found."""

    at: datetime
    status: ChannelStatus
    checks: list[Check]


async def diagnose(
    exchange: Exchange, parts: ApiParts, account_id: str, channel_id: str
) -> Diagnosis:
    """Look into a channel.

    Raises:
        NotFoundError: There is none.
        ChannelDeletedError: It is deleted.
    """
    async with exchange.glance() as work:
        channel = await existing_channel(work, account_id, channel_id, alive=True)
    if channel.kind is ChannelKind.THIRD_PARTY:
        answer = await _challenged(exchange, parts, channel)
        async with exchange.glance() as work:
            return await _of_third_party(work, parts, channel, answer)
    sight = await _inspected(exchange, parts, channel)
    async with exchange.glance() as work:
        return await _of_page(work, parts, channel, sight)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What Meta told of a Page, and its verdict: None where there is none."""

    seen: SeenFacts
    verdict: ConnectedPage | PageRefusedError | None = None

    @property
    def refusal(self) -> Refusal | None:
        if not isinstance(self.verdict, PageRefusedError):
            return None
        return Refusal(reason=self.verdict.reason, detail=self.verdict.detail)


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a third party's address answered its challenge; it was not asked if not `signable`."""

    address_fault: str | None = None
    challenge_fault: str | None = None
    signable: bool = True
    milliseconds: int | None = None


async def _inspected(exchange: Exchange, parts: ApiParts, channel: Channel) -> _Sight:
    async with exchange.glance() as work:
        access = await probe_access(work, channel)
    if access is None:
        seen = nothing_seen(_NO_TOKEN)
        return _Sight(SeenFacts(token=None, page=seen.page, subscription=seen.subscription))
    app, wanted = access
    expected = channel.subscribed_fields
    try:
        async with asyncio.timeout(_BUDGET.total_seconds()):
            inspection = await parts.pages.inspect(app, wanted, expected=expected)
    except TimeoutError:
        return _Sight(nothing_seen(_SLOW))
    verdict: ConnectedPage | PageRefusedError | None
    try:
        verdict = inspection.judge(app, wanted)
    except PageRefusedError as refused:
        verdict = refused
    except UpstreamFailedError:
        verdict = None
    seen = facts_of(inspection, page_id=wanted.page_id, expected=expected)
    return _Sight(seen, verdict)


async def _challenged(exchange: Exchange, parts: ApiParts, channel: Channel) -> _Answer:
    url = channel.outgoing_webhook_url
    assert url is not None
    try:
        secrets = await signing_secrets(exchange, channel)
        await parts.egress.check_address(url, pointer="")
    except UndecryptableError:
        return _Answer(signable=False)
    except GatewayError as error:
        return _Answer(address_fault=str(error))
    try:
        milliseconds = await challenge(parts.egress, url, secrets, pointer="")
    except ChallengeFailedError as error:
        return _Answer(challenge_fault=str(error))
    except GatewayError as error:
        return _Answer(address_fault=str(error))
    return _Answer(milliseconds=milliseconds)


async def _of_page(work: UnitOfWork, parts: ApiParts, before: Channel, sight: _Sight) -> Diagnosis:
    match sight.verdict:
        case ConnectedPage() as page:
            await take_page(work, before, page)
        case PageRefusedError() as refused:
            await take_refusal(work, before, refused.reason)
        case None:
            pass
    channel = await existing_channel(work, before.account_id, before.id)
    traffic = await read_traffic(work.connection, channel, now=work.now)
    takers = await parts.reach.takers(work, channel)
    facts = PageFacts(
        now=work.now,
        token=sight.seen.token,
        page=sight.seen.page,
        subscription=sight.seen.subscription,
        refusal=sight.refusal,
        was=before.status_reason,
        reason=channel.status_reason,
        by_login=channel.connected_by is not None,
        instagram=channel.kind is ChannelKind.INSTAGRAM,
        connected_at=channel.connected_at,
        last_event_at=traffic.last_event_at,
        changed_at=traffic.changed_at,
    )
    checks = (
        *state_checks(facts),
        *access_checks(facts),
        *_traffic(work, channel, traffic, takers),
        *integration_checks(facts),
    )
    return Diagnosis(work.now, channel.status, list(checks))


async def _of_third_party(
    work: UnitOfWork, parts: ApiParts, before: Channel, answer: _Answer
) -> Diagnosis:
    if answer.signable:
        await take_challenge(work, before, passed=answer.milliseconds is not None)
    channel = await existing_channel(work, before.account_id, before.id)
    traffic = await read_traffic(work.connection, channel, now=work.now)
    takers = await parts.reach.takers(work, channel)
    facts = ThirdPartyFacts(
        now=work.now,
        address_fault=answer.address_fault,
        challenge_fault=answer.challenge_fault,
        signable=answer.signable,
        milliseconds=answer.milliseconds,
        was=before.status_reason,
        former_token_until=channel.previous_incoming_token_expires_at,
    )
    checks = (*third_party_checks(facts), *_traffic(work, channel, traffic, takers))
    return Diagnosis(work.now, channel.status, list(checks))


def _traffic(
    work: UnitOfWork, channel: Channel, traffic: Traffic, takers: Takers
) -> Iterator[Check]:
    facts = TrafficFacts(
        kind=channel.kind,
        now=work.now,
        human_agent=channel.human_agent,
        last_event_at=traffic.last_event_at,
        last_action_at=traffic.last_action_at,
        other_apps=traffic.other_apps,
        inboxes=traffic.inboxes,
    )
    return traffic_checks(facts, takers)
