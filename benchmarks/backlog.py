"""A target that has healed has a million deliveries to come: what that costs, and the others.

The million wait for one endpoint, which takes so many a second (`rate_limit`). Messages are
accepted for ten thousand Pages beside it. By turns, the endpoint takes one a second and drains at
its limit; and another endpoint, for which few wait, takes as many a second, to tell what the
million cost from what so many calls cost. First 200 a second drain beside a hundred messages, which
is more than two cores have room for; then 50 beside 25, for which there is, in more turns, since a
machine that stands still for a moment spoils the p99 of a turn of so few. The sender's memory is
told at its most.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import asyncpg
import httpx
from sqlalchemy import text

from benchmarks.crowd import Crowd
from benchmarks.desk import Desk, desk
from benchmarks.figures import record
from benchmarks.sending import sends_to, slow_graph
from benchmarks.stage import OTHER_CORE, ROLE_CORE, busy_seconds, peak_mebibytes, stage
from gateway.db.outbox import NewEvent
from gateway.domain import ids
from gateway.domain.shards import shard_of

_DELIVERIES: Final = 1_000_000
_PAGES: Final = 10_000
# More than is drained of them in all turns.
_FEW: Final = 30_000
_GRAPH_MILLISECONDS: Final = 50
_LEG_SECONDS: Final = 8.0
# Limits are read every two seconds.
_NOTICED_SECONDS: Final = 3.0
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - nobody else's

# One event is announced; the others are like it.
_EVENTS: Final = """
    INSERT INTO events (created_at, id, account_id, type, key, sequence, source, subject,
                        occurred_at, data, shard)
    SELECT created_at, 'evt_' || lpad(n::text, 26, '0'), account_id, type, key, sequence + n,
           source, subject, occurred_at, data, shard
    FROM events, generate_series($2::int, $3::int) AS n WHERE id = $1
"""
_FILL: Final = """
    INSERT INTO deliveries (id, account_id, shard, target_kind, target_id, lane, kind, event_id,
                            event_created_at, due_at, created_at, ready)
    SELECT 'dlv_' || lpad(n::text, 26, '0'), $1, $2, 'endpoint', $3,
           'dlv_' || lpad(n::text, 26, '0'), 'event', 'evt_' || lpad(n::text, 26, '0'),
           $4, $4, $4, true
    FROM generate_series($5::int, $6::int) AS n
"""
_FILL_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Load:
    """How much is asked at once: the others' messages and the limit, by the second."""

    name: str
    rate: int
    limit: int
    turns: int


_LOADS: Final = (_Load("backlog", 100, 200, 5), _Load("backlog.with_room", 25, 50, 12))


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
        few = await _fill(full, graph_url, place.database_url, range(1, _FEW + 1))
        numbers = range(_FEW + 1, _FEW + _DELIVERIES + 1)
        million = await _fill(full, graph_url, place.database_url, numbers)
        crowd = Crowd(full, graph_url, random.Random(7))  # noqa: S311 - no secret
        async with place.role("sender", environment=sends_to(graph_url)) as role:
            for load in _LOADS:
                await crowd.warm_up(rate=load.rate)
                turns = [await _turn(crowd, full, few, million, load) for _ in range(load.turns)]
                _record(load, turns)
            record("backlog.deliveries", _DELIVERIES, "deliveries")
            record("backlog.memory", peak_mebibytes(role.pid), "MiB")


@dataclass(frozen=True, slots=True)
class _Leg:
    """How long the others' messages took meanwhile, in milliseconds, and how busy the cores were.

    Core 0 has the sender alone.
    """

    p50: float
    p99: float
    core_0: float
    core_1: float


@dataclass(frozen=True, slots=True)
class _Turn:
    """One of each, and how many a second the million's endpoint got."""

    alone: _Leg
    beside_few: _Leg
    beside_million: _Leg
    drained: float


def _record(load: _Load, turns: Sequence[_Turn]) -> None:
    record(f"{load.name}.rate", load.rate, "1/s")
    record(f"{load.name}.limit", load.limit, "1/s")
    record(f"{load.name}.drained", median(turn.drained for turn in turns), "1/s")
    for name, of in (
        ("alone", [turn.alone for turn in turns]),
        ("without", [turn.beside_few for turn in turns]),
        ("with", [turn.beside_million for turn in turns]),
    ):
        record(f"{load.name}.{name}.p50", median(each.p50 for each in of), "ms")
        record(f"{load.name}.{name}.p99", median(each.p99 for each in of), "ms")
        record(f"{load.name}.{name}.core_0_busy", median(each.core_0 for each in of), "ratio")
        record(f"{load.name}.{name}.core_1_busy", median(each.core_1 for each in of), "ratio")
    more = [turn.beside_million.p99 - turn.beside_few.p99 for turn in turns]
    record(f"{load.name}.p99_more", median(more), "ms")
    more = [turn.beside_million.p99 - turn.alone.p99 for turn in turns]
    record(f"{load.name}.p99_more_than_alone", median(more), "ms")


async def _turn(crowd: Crowd, full: Desk, few: str, million: str, load: _Load) -> _Turn:
    alone = await _leg(crowd, load)
    await _limit(full, few, load.limit)
    beside_few = await _leg(crowd, load)
    await _limit(full, few, 1)
    await _limit(full, million, load.limit)
    before = await _hooks(crowd)
    began = asyncio.get_running_loop().time()
    beside_million = await _leg(crowd, load)
    took = asyncio.get_running_loop().time() - began
    drained = (await _hooks(crowd) - before) / took
    await _limit(full, million, 1)
    return _Turn(alone, beside_few, beside_million, drained)


async def _leg(crowd: Crowd, load: _Load) -> _Leg:
    def clocks() -> list[float]:
        return [busy_seconds(ROLE_CORE), busy_seconds(OTHER_CORE), time.monotonic()]

    before = clocks()
    waits = await crowd.answer(seconds=_LEG_SECONDS, rate=load.rate)
    core_0, core_1, took = (end - start for start, end in zip(before, clocks(), strict=True))
    return _Leg(waits.p50, waits.p99, core_0 / took, core_1 / took)


async def _hooks(crowd: Crowd) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return int((await client.get(f"{crowd.graph_url}/hooks")).text)


async def _limit(full: Desk, endpoint_id: str, rate: int) -> None:
    statement = text("UPDATE endpoints SET rate_limit = :rate WHERE id = :id")
    async with full.database.engine.begin() as connection:
        await connection.execute(statement, {"rate": rate, "id": endpoint_id})
    await asyncio.sleep(_NOTICED_SECONDS)


async def _fill(full: Desk, graph_url: str, database_url: str, numbers: range) -> str:
    """Write an endpoint and so many that wait for it; return the endpoint's id."""
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
    first, last = numbers[0], numbers[-1]
    await connection.execute(_EVENTS, event.id, first, last, timeout=_FILL_SECONDS)
    parameters = (full.account, shard_of(endpoint_id), endpoint_id, now, first, last)
    await connection.execute(_FILL, *parameters, timeout=_FILL_SECONDS)
    await connection.execute("VACUUM ANALYZE deliveries, events", timeout=_FILL_SECONDS)
    await connection.close()
    return endpoint_id
