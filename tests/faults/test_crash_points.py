"""Processes that die exactly where it hurts: nothing is lost, doubled or out of order."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.e2e.stack import Gateway, Page, Tenant
from tests.faults.points import ENDING, STARTING, UNDER_TRAFFIC
from tests.faults.roles import Stage
from tests.faults.running import Run, under_traffic

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

_RESTLESS_SECONDS = 0.5
_VISITORS = 8
_LOOK_SECONDS = 0.05
_STARTED = b"process.started"
_TAKEN = b"routing.partition_taken"


async def test_a_death_at_any_point_loses_doubles_and_reorders_nothing(
    stage: Stage, staged: Gateway
) -> None:
    async with under_traffic(staged, "crash-points") as run, _timers(staged):
        async with asyncio.TaskGroup() as group:
            for role, points in UNDER_TRAFFIC.items():
                group.create_task(_die_at(stage, run, role, points))
        await stage.until_ready(*stage.processes)
    died = {(name.partition("-")[0], point) for name, point, _ in stage.deaths}
    assert died >= {(role, point) for role, points in UNDER_TRAFFIC.items() for point in points}
    totals = await run.require_clean()
    assert totals["uncertain_ever"] <= totals["in_flight_at_kills"]
    assert totals.get("uncertain_left", 0) == totals.get("uncertain_never_called", 0)


async def test_a_death_on_the_way_in_or_out_loses_nothing(stage: Stage, staged: Gateway) -> None:
    async with under_traffic(staged, "crash-points-in-and-out") as run:
        for role, points in STARTING.items():
            for point in points:
                name = f"{role}-1"
                await asyncio.to_thread(stage[name].keep_away)
                await run.note("kill", name)
                stage.plan_death(name, point)
                stage[name].start()
                await stage.died(name)
                await run.note("kill", name)
        async with asyncio.TaskGroup() as group:
            for role, points in ENDING.items():
                group.create_task(_die_ending(stage, run, role, points))
        await stage.until_ready(*stage.processes)
    await run.require_clean()


async def _die_at(stage: Stage, run: Run, role: str, points: tuple[str, ...]) -> None:
    for n, point in enumerate(points):
        name = f"{role}-{n % stage.each + 1}"
        await stage.until_ready(name)
        stage.plan_death(name, point, passing=n % 3 + 1)
        await stage.died(name)
        await run.note("kill", name)


async def _die_ending(stage: Stage, run: Run, role: str, points: tuple[str, ...]) -> None:
    name = f"{role}-1"
    for point in points:
        await stage.until_ready(name)
        if role == "routing":
            await _until_it_has_partitions(stage, name)
        stage.plan_death(name, point)
        await asyncio.to_thread(stage[name].end)
        await stage.died(name)
        await run.note("kill", name)
        stage[name].start()


async def _until_it_has_partitions(stage: Stage, name: str) -> None:
    """Wait until a process has something to give back; it may be ready long before."""
    async with asyncio.timeout(60):
        while _TAKEN not in stage[name].log.read_bytes().rpartition(_STARTED)[2]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_SECONDS)


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
