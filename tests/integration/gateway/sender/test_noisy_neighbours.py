"""Targets that hang, drip or answer for ever, beside healthy ones, over real connections."""

import asyncio
import time
from datetime import timedelta
from ipaddress import ip_address

import pytest
from tests.support import misbehave
from tests.support.receiver import Receiver
from tests.support.sending import Outbox

from gateway.domain.delivery import TargetKind
from gateway.net.egress import Egress
from gateway.net.places import EgressPolicy
from gateway.sender.webhook import EndpointTransport

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

BUDGET = timedelta(seconds=1)
HOSTILE = [
    misbehave.hang,
    misbehave.drip_header(0.1),
    misbehave.drip_body(0.1),
    misbehave.informational_flood,
    misbehave.garbage,
    misbehave.reset,
    misbehave.redirect("http://127.0.0.1:1/"),
]


class Nowhere:
    async def resolve(self, _host):
        return [ip_address("127.0.0.1")]


@pytest.fixture
async def real_endpoints(outbox: Outbox):
    egress = Egress(EgressPolicy(ports=frozenset({443}), allow_loopback=True), resolver=Nowhere())
    outbox.transports[TargetKind.ENDPOINT] = EndpointTransport(
        egress, keyring=outbox.keyring, clock=outbox.clock
    )
    yield
    await egress.aclose()


async def _delivered(outbox: Outbox, kind: str, count: int) -> None:
    await outbox.eventually(
        "SELECT count(*) FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE e.type = :kind AND d.status = 'delivered'",
        count,
        kind=kind,
    )


async def _rounds(outbox: Outbox, before: int) -> float:
    """Return the seconds that five events take to reach ten endpoints, one after the other."""
    started = time.monotonic()
    for number in range(before + 1, before + 6):
        await outbox.announce(kind="good.v1")
        await _delivered(outbox, "good.v1", 10 * number)
    return time.monotonic() - started


async def test_healthy_targets_are_served_while_others_hang(outbox, receiver, real_endpoints):
    """There are more that hang than there are slots."""
    async with Receiver(misbehave.hang) as hanging:
        for _ in range(10):
            await outbox.endpoint(receiver.url, event_types=["good.*"])
        async with outbox.sender(slots=40, budgets=BUDGET):
            alone = await _rounds(outbox, 0)
        for _ in range(60):
            await outbox.endpoint(hanging.url, event_types=["bad.*"])
        async with outbox.sender(slots=40, budgets=BUDGET):
            for _ in range(3):
                await outbox.announce(kind="bad.v1")
            # All slots are taken by whom nobody knew yet; that lasts for one call's budget.
            await outbox.eventually(
                "SELECT count(*) >= 40 FROM deliveries d JOIN events e ON e.id = d.event_id"
                " WHERE e.type = 'bad.v1' AND d.attempt > 0",
                wanted=True,
            )
            assert await _rounds(outbox, 5) < 4 * alone + 4
            # Once all are known, those that hang have a quarter of the slots.
            await outbox.eventually(
                "SELECT count(*) FROM endpoints WHERE last_attempt_timed_out", 60
            )
            await asyncio.sleep(BUDGET.total_seconds() + 0.2)
            outbox.advance(timedelta(seconds=6))
            most = 0
            for _ in range(20):
                most = max(most, hanging.open_connections)
                await asyncio.sleep(0.05)
            assert 0 < most <= 10
        assert await outbox.value("SELECT count(*) FROM deliveries WHERE status = 'failed'") == 0


async def test_every_attempt_ends_in_time_whatever_the_peer_does(outbox, receiver, real_endpoints):
    receivers = [Receiver(behaviour) for behaviour in HOSTILE]
    for each in receivers:
        await each.__aenter__()
        await outbox.endpoint(each.url)
    await outbox.endpoint(receiver.url)
    async with outbox.sender(budgets=BUDGET):
        await outbox.announce()
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", len(HOSTILE) + 1)
        rows = await outbox.rows("SELECT * FROM delivery_attempts ORDER BY outcome")
        assert [row["outcome"] for row in rows].count("accepted") == 1
        assert max(row["milliseconds"] for row in rows) <= 1500
        await outbox.eventually("SELECT count(*) FROM deliveries WHERE status = 'sending'", 0)
        # Each is tried again in its own time, and the healthy one is not.
        outbox.advance(timedelta(seconds=6))
        await outbox.eventually("SELECT count(*) FROM delivery_attempts", 2 * len(HOSTILE) + 1)
    for each in receivers:
        await each.__aexit__(None, None, None)
    assert len(receiver.requests) == 1
