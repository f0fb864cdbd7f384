"""Waits until nothing is under way any more: no lag, no call, nothing to publish or post."""

import asyncio
import time

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer
from tests.e2e.stack import call
from tests.faults.deployment import Deployment
from tests.faults.evidence import end_offsets
from tests.faults.journal import Journal

from gateway.contracts.topics import INBOUND

_LOOK_SECONDS = 0.3
# Longer than a call and the wait for its echo.
_ADVANCE_SECONDS = 60
_DSN_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

_UNDER_WAY = {
    "events to publish": "SELECT count(*) FROM events WHERE position IS NULL",
    "dead letters to copy": "SELECT count(*) FROM dead_letters WHERE published_at IS NULL",
    "parked events of active channels": """
        SELECT count(*) FROM parked p JOIN channels c ON c.id = p.owner_channel_id
        WHERE c.status = 'active'""",
    "deliveries to send": """
        SELECT count(*) FROM deliveries
        WHERE status = 'pending' AND held_at IS NULL AND target_kind <> 'endpoint'""",
    "calls in flight": "SELECT count(*) FROM deliveries WHERE status = 'sending'",
    "outcomes awaited": """
        SELECT count(*) FROM deliveries WHERE status = 'uncertain' AND holds_lane""",
}
# What only time ends: a call nobody makes any more, an echo that will not come, and those behind.
_TIME_ENDS = {"deliveries to send", "calls in flight", "outcomes awaited"}


async def settle(
    deployment: Deployment,
    journal: Journal,
    *,
    seconds: float = 120.0,
    advance_clock: bool = False,
) -> list[str]:
    """Return once nothing is under way, or what still is after so many seconds.

    With `advance_clock` the product's clock is moved when only time is wanting; that works in
    `gateway dev` alone.
    """
    deadline = time.monotonic() + seconds
    advanced, last = False, ""
    async with (
        httpx.AsyncClient(base_url=deployment.sandbox_url, timeout=30, trust_env=False) as sandbox,
        AIOKafkaConsumer(
            bootstrap_servers=deployment.kafka_bootstrap_servers, enable_auto_commit=False
        ) as consumer,
    ):
        while True:
            under_way = await _look(deployment, journal, sandbox, consumer)
            if not under_way:
                return []
            if time.monotonic() > deadline:
                return [f"{count} {what}" for what, count in under_way.items()]
            now = str(under_way)
            if advance_clock and not advanced and under_way.keys() <= _TIME_ENDS and now == last:
                advanced = True
                await call(sandbox, "POST", "/control/clock", {"advance_seconds": _ADVANCE_SECONDS})
            last = now
            await asyncio.sleep(_LOOK_SECONDS)


async def _look(
    deployment: Deployment,
    journal: Journal,
    sandbox: httpx.AsyncClient,
    consumer: AIOKafkaConsumer,
) -> dict[str, int]:
    await journal.read(sandbox)
    under_way = {"webhooks to post": journal.untaken()}
    ends = await end_offsets(consumer, INBOUND)
    try:
        connection = await asyncpg.connect(deployment.postgres_dsn)
    except _DSN_ERRORS:
        return {"databases to reach": 1}
    try:
        reached = {
            row["partition"]: row["next_offset"] or 0
            for row in await connection.fetch("SELECT partition, next_offset FROM partition_owners")
        }
        for what, query in _UNDER_WAY.items():
            under_way[what] = await connection.fetchval(query)
    except _DSN_ERRORS:
        return {"databases to reach": 1}
    finally:
        await connection.close()
    under_way["records to take"] = sum(
        max(0, end - reached.get(partition, 0)) for partition, end in ends.items()
    )
    # What arrived while we looked may have begun something anew.
    under_way["entries just written"] = await journal.read(sandbox)
    return {what: count for what, count in under_way.items() if count}
