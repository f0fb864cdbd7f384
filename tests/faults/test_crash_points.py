"""Processes that die exactly where it hurts: nothing is lost, doubled or out of order."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from tests.e2e.stack import Gateway, Page, Tenant
from tests.faults.checker import check
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.points import ENDING, STARTING, UNDER_TRAFFIC
from tests.faults.roles import Stage
from tests.faults.traffic import Plan, Traffic

pytestmark = pytest.mark.faults

_MANY = 1_000_000
_RESTLESS_SECONDS = 0.5
_VISITORS = 8
_IN_FLIGHT = """
    SELECT message_id, attempt FROM deliveries WHERE status = 'sending' AND kind = 'message'
"""


async def test_a_death_at_any_point_loses_doubles_and_reorders_nothing(
    stage: Stage, staged: Gateway
) -> None:
    ledger = Ledger()
    chance = random.Random(4)
    async with _traffic(staged, ledger), _timers(staged):
        async with asyncio.TaskGroup() as group:
            for role, points in UNDER_TRAFFIC.items():
                group.create_task(_die_at(stage, staged, ledger, role, points, chance))
    await stage.until_ready(*stage.processes)
    died = {(name.partition("-")[0], point) for name, point, _ in stage.deaths}
    assert died == {(role, point) for role, points in UNDER_TRAFFIC.items() for point in points}
    await _require_clean(staged, ledger, "crash points")


async def test_a_death_on_the_way_in_or_out_loses_nothing(stage: Stage, staged: Gateway) -> None:
    ledger = Ledger()
    async with _traffic(staged, ledger):
        for role, points in STARTING.items():
            for point in points:
                stage.plan_death(f"{role}-1", point)
                stage[f"{role}-1"].kill()
                await stage.died(f"{role}-1")
                await _note(staged, ledger, f"{role}-1")
        async with asyncio.TaskGroup() as group:
            for role, points in ENDING.items():
                group.create_task(_die_ending(stage, staged, ledger, role, points))
    await _require_clean(staged, ledger, "crash points on the way in and out")


async def _die_at(
    stage: Stage,
    gateway: Gateway,
    ledger: Ledger,
    role: str,
    points: tuple[str, ...],
    chance: random.Random,
) -> None:
    for n, point in enumerate(points):
        name = f"{role}-{n % stage.each + 1}"
        await stage.until_ready(name)
        stage.plan_death(name, point, passing=chance.randint(1, 3))
        await stage.died(name)
        await _note(gateway, ledger, name)
    await stage.until_ready(name)


async def _die_ending(
    stage: Stage, gateway: Gateway, ledger: Ledger, role: str, points: tuple[str, ...]
) -> None:
    for point in points:
        name = f"{role}-1"
        await stage.until_ready(name)
        stage.plan_death(name, point)
        await asyncio.to_thread(stage[name].end)
        await stage.died(name)
        await _note(gateway, ledger, name)
        stage[name].start()
    await stage.until_ready(f"{role}-1")


@asynccontextmanager
async def _traffic(gateway: Gateway, ledger: Ledger) -> AsyncIterator[None]:
    """Let people write and be answered meanwhile, and until everything was heard."""
    plan = Plan(contacts=120, accounts=2, pages=4, rate=40)
    traffic = Traffic(Deployment.of(gateway.description), ledger, plan)
    await traffic.prepare()
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.run(webhooks=_MANY, until=enough, patience=60))
        yield
        enough.set()


@asynccontextmanager
async def _timers(gateway: Gateway) -> AsyncIterator[None]:
    """Let timers be due meanwhile: an agent comes and goes while people write."""
    tenant = await gateway.tenant()
    agent = await tenant.agent()
    page = await tenant.page(agent=agent)
    async with asyncio.TaskGroup() as group:
        restless = group.create_task(_come_and_go(tenant, agent, page))
        yield
        restless.cancel()


async def _come_and_go(tenant: Tenant, agent: str, page: Page) -> None:
    api, key = tenant.gateway.api, {"Authorization": f"Bearer {tenant.key}"}
    for n in itertools.count():
        for visitor in range(_VISITORS):
            await page.visitor_writes(f"hello {n}", visitor=str(7000001 + visitor))
        for state in ("active", "offline"):
            # The process that is asked may be about to die.
            with contextlib.suppress(httpx.HTTPError):
                await api.put(f"/v1/agents/{agent}/presence", json={"state": state}, headers=key)
            await asyncio.sleep(_RESTLESS_SECONDS)


async def _note(gateway: Gateway, ledger: Ledger, name: str) -> None:
    role = name.partition("-")[0]
    in_flight: list[list[object]] = []
    if role == "sender":
        connection = await asyncpg.connect(Deployment.of(gateway.description).postgres_dsn)
        try:
            in_flight = [list(row) for row in await connection.fetch(_IN_FLIGHT)]
        finally:
            await connection.close()
    ledger.note("blow", blow="kill", role=role, pid=0, in_flight=in_flight)


async def _require_clean(gateway: Gateway, ledger: Ledger, name: str) -> None:
    verdict = await check(
        ledger, Deployment.of(gateway.description), name=name, advance_clock=True
    )
    verdict.require_clean()
