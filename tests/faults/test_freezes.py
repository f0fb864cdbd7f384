"""Processes that stand still for longer than their leases, and go on as if nothing had happened."""

import asyncio
import signal
import time

import httpx
import pytest
from tests.e2e.stack import Gateway
from tests.faults.roles import Stage
from tests.faults.running import Run, under_traffic

from gateway.db.leases import LEASE_SECONDS

pytestmark = pytest.mark.faults

_FROZEN = ("api-1", "routing-1", "sender-1")
_LOOK_SECONDS = 0.1
_HELD = "SELECT bool_and(expires_at > clock_timestamp()) AS all FROM shards"
_EPOCHS = "SELECT partition, epoch FROM partition_owners WHERE topic = 'gateway.inbound.v1'"


async def test_what_was_frozen_past_its_leases_does_no_harm_when_it_goes_on(
    stage: Stage, staged: Gateway
) -> None:
    async with under_traffic(staged, "freezes") as run:
        # Answers take a while, so that calls are under way when their process stands still.
        drip = {"call": "messages", "mode": "drip", "delay_ms": 15, "count": 200}
        await staged.fault(**drip)
        await _busy(run)
        frozen_at = time.monotonic()
        for name in _FROZEN:
            stage[name].send(signal.SIGSTOP)
            await run.note("freeze", name)
        # A frozen member keeps its partitions on a broker that evicts nobody; who comes under its
        # name takes them over, as another process does elsewhere.
        epochs = await _epochs(run)
        twin = stage.twin("routing-1")
        try:
            await _until_others_have_all(run, frozen_at)
            await _until_risen(run, epochs)
            await _goes_on_without_them(staged, stage)
            for name in _FROZEN:
                stage[name].send(signal.SIGCONT)
            await stage.until_ready(*_FROZEN)
        finally:
            for name in _FROZEN:
                stage[name].send(signal.SIGCONT)
            await asyncio.to_thread(twin.end)
            await staged.sandbox.delete("/control/faults")
    totals = await run.require_clean()
    assert totals.get("uncertain_left", 0) == totals.get("uncertain_never_called", 0)


async def _busy(run: Run) -> None:
    """Wait until the sender that will be frozen has calls under way."""
    async with asyncio.timeout(30):
        while True:
            if await run.fetch("SELECT 1 FROM deliveries WHERE status = 'sending'"):
                return
            await asyncio.sleep(0.01)


async def _until_others_have_all(run: Run, frozen_at: float) -> None:
    """Wait until the leases of who is frozen have ended and others hold every shard."""
    async with asyncio.timeout(30):
        while True:
            held = await run.fetch(_HELD)
            if time.monotonic() > frozen_at + LEASE_SECONDS and held[0]["all"]:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _epochs(run: Run) -> dict[int, int]:
    return {each["partition"]: each["epoch"] for each in await run.fetch(_EPOCHS)}


async def _until_risen(run: Run, before: dict[int, int]) -> None:
    """Wait until the partitions of one of two processes have another owner."""
    async with asyncio.timeout(30):
        while True:
            now = await _epochs(run)
            if sum(now[partition] > epoch for partition, epoch in before.items()) >= len(now) // 2:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _goes_on_without_them(gateway: Gateway, stage: Stage) -> None:
    """Show that requests are served, and that who does not move says nothing."""
    tenant = await gateway.tenant()
    page = await tenant.page()
    conversation = await page.conversation("anybody there?")
    message = await tenant.post(
        f"/v1/conversations/{conversation}/messages",
        {"content": {"type": "text", "text": "yes"}},
    )
    await tenant.event("message.sent", lambda e: e["data"]["message"]["id"] == message["id"])
    async with httpx.AsyncClient(trust_env=False, timeout=0.5) as client:
        with pytest.raises(httpx.TimeoutException):
            await client.get(stage["api-1"].ops)
