"""A target that has healed has a million deliveries to come: what that costs, and the others.

The million wait for one endpoint, which takes 200 a second (`rate_limit`). A hundred messages a
second are accepted for ten thousand Pages beside it. By turns, five times each, the endpoint takes
one a second and drains at its limit; the sender's memory is told at its most.
"""

import asyncio
import os
import random
from statistics import median
from typing import Any, Final

import asyncpg
import httpx
from sqlalchemy import text

from benchmarks.crowd import Crowd, Quantiles
from benchmarks.desk import Desk, desk
from benchmarks.figures import record
from benchmarks.sending import sends_to, slow_graph
from benchmarks.stage import OTHER_CORE, peak_mebibytes, stage
from gateway.db.outbox import NewEvent
from gateway.domain import ids
from gateway.domain.shards import shard_of

_DELIVERIES: Final = 1_000_000
_LIMIT: Final = 200
_PAGES: Final = 10_000
_GRAPH_MILLISECONDS: Final = 50
_PAIRS: Final = 5
_SECONDS: Final = 8.0
_WARM_UP_SECONDS: Final = 6.0
# Limits are read every two seconds.
_NOTICED_SECONDS: Final = 3.0
_RATE: Final = 100
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - nobody else's

# One event is announced; the others are like it.
_EVENTS: Final = """
    INSERT INTO events (created_at, id, account_id, type, key, sequence, source, subject,
                        occurred_at, data, shard)
    SELECT created_at, 'evt_' || lpad(n::text, 26, '0'), account_id, type, key, sequence + n,
           source, subject, occurred_at, data, shard
    FROM events, generate_series(1, $2) AS n WHERE id = $1
"""
_FILL: Final = """
    INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind, event_id,
                            event_created_at, due_at, created_at, ready)
    SELECT 'dlv_' || lpad(n::text, 26, '0'), $1, $2, 'endpoint', $3,
           'dlv_' || lpad(n::text, 26, '0'), 'event', 'evt_' || lpad(n::text, 26, '0'),
           $4, $4, $4, true
    FROM generate_series(1, $5) AS n
"""
_FILL_SECONDS: Final = 300.0


def main() -> None:
    """Measure."""
    os.sched_setaffinity(0, {OTHER_CORE})
    asyncio.run(_run())


async def _run() -> None:
    async with (
        stage() as place,
        desk(
            place.database_url, place.identity.encryption_keys, pages=_PAGES, conversations_each=1
        ) as full,
        slow_graph(place.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
    ):
        endpoint_id = await _fill(full, graph_url, place.database_url)
        crowd = Crowd(full, graph_url, random.Random(7))  # noqa: S311 - no secret
        async with place.role("sender", environment=sends_to(graph_url)) as role:
            await crowd.answer(seconds=_WARM_UP_SECONDS, rate=_RATE)
            pairs = [await _pair(crowd, full, endpoint_id) for _ in range(_PAIRS)]
            record("backlog.deliveries", _DELIVERIES, "deliveries")
            record("backlog.memory", peak_mebibytes(role.pid), "MiB")
    record("backlog.limit", _LIMIT, "1/s")
    record("backlog.drained", median(rate for _, _, rate in pairs), "1/s")
    record("backlog.without.p50", median(calm.p50 for calm, _, _ in pairs), "ms")
    record("backlog.without.p99", median(calm.p99 for calm, _, _ in pairs), "ms")
    record("backlog.with.p50", median(beside.p50 for _, beside, _ in pairs), "ms")
    record("backlog.with.p99", median(beside.p99 for _, beside, _ in pairs), "ms")
    record("backlog.p99_more", median(beside.p99 - calm.p99 for calm, beside, _ in pairs), "ms")


async def _pair(crowd: Crowd, full: Desk, endpoint_id: str) -> tuple[Quantiles, Quantiles, float]:
    await _limit(full, endpoint_id, 1)
    calm = await crowd.answer(seconds=_SECONDS, rate=_RATE)
    await _limit(full, endpoint_id, _LIMIT)
    before = await _hooks(crowd)
    began = asyncio.get_running_loop().time()
    beside = await crowd.answer(seconds=_SECONDS, rate=_RATE)
    took = asyncio.get_running_loop().time() - began
    return calm, beside, (await _hooks(crowd) - before) / took


async def _hooks(crowd: Crowd) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return int((await client.get(f"{crowd.graph_url}/hooks")).text)


async def _limit(full: Desk, endpoint_id: str, rate: int) -> None:
    statement = text("UPDATE endpoints SET rate_limit = :rate WHERE id = :id")
    async with full.database.engine.begin() as connection:
        await connection.execute(statement, {"rate": rate, "id": endpoint_id})
    await asyncio.sleep(_NOTICED_SECONDS)


async def _fill(full: Desk, graph_url: str, database_url: str) -> str:
    """Write the endpoint and what waits for it; return the endpoint's id."""
    endpoint_id = ids.new_id(ids.ENDPOINT)
    database = full.database
    async with database.unit_of_work() as work:
        columns: dict[str, Any] = {
            "account_id": full.account,
            "id": endpoint_id,
            "name": "Desk",
            "url": f"{graph_url}/hook",
            "event_types": ["none"],
            "ordering": "none",
            "max_concurrency": 50,
            "rate_limit": 1,
            "signing_secret": database.keyring.encrypt(
                _SECRET, row=f"endpoints/{endpoint_id}/signing_secret"
            ),
            "created_at": work.now,
            "updated_at": work.now,
        }
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        await work.connection.execute(
            text(f"INSERT INTO endpoints ({names}) VALUES ({values})"),  # noqa: S608 - constant names
            columns,
        )
        event = NewEvent(
            type="gateway.bench.happened.v1",
            account_id=full.account,
            data={"text": "x" * 500},
            occurred_at=work.now,
        )
        work.announce(event)
        now = work.now
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute(_EVENTS, event.id, _DELIVERIES, timeout=_FILL_SECONDS)
    parameters = (full.account, shard_of(endpoint_id), endpoint_id, now, _DELIVERIES)
    await connection.execute(_FILL, *parameters, timeout=_FILL_SECONDS)
    await connection.execute("VACUUM ANALYZE deliveries, events", timeout=_FILL_SECONDS)
    await connection.close()
    return endpoint_id
