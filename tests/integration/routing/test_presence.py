"""What one process learns of an agent, every router acts on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.desk import AllShards, Desk, desk

from gateway.db.engine import create_engine
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from routing.changes import RoutingChanges
from routing.timers import TimerWorker


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[Desk]:
    async with desk(database_url) as opened:
        yield opened


@asynccontextmanager
async def another(at: Desk) -> AsyncIterator[Desk]:
    """Be another process, with a desk, connections and a worker of its own, which runs."""
    engine = create_engine(at.database_url, pool_size=5, max_overflow=5, application_name="other")
    wakeups = Wakeups(at.database_url)
    database = Database(engine, clock=at.clock, keyring=at.database.keyring, wake=wakeups.wake)
    worker = TimerWorker(database, AllShards(), wakeups)
    parts = [asyncio.get_running_loop().create_task(part.run()) for part in (wakeups, worker)]
    try:
        yield replace(at, engine=engine, database=database)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)
        await engine.dispose()


async def _until(at: Desk, enquiry_id: str | None, status: str) -> float:
    """Return how many seconds it took until an enquiry was in a state."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        while (await at.enquiry(enquiry_id)).status != status:
            pass
    return asyncio.get_running_loop().time() - began


async def test_the_next_decision_of_another_router_sees_it(at: Desk) -> None:
    ada, ben = await at.agent("offline"), await at.agent("offline")
    channel = await at.channel(ada, ben)
    engine = create_engine(at.database_url, pool_size=2, max_overflow=2, application_name="other")
    database = Database(engine, clock=at.clock, keyring=at.database.keyring)
    other = replace(at, engine=engine, database=database)
    asked = []
    for number, (agent, state) in enumerate(
        [
            (ben, "active"),
            (ada, "idle"),
            (ada, "active"),
            (ben, "busy"),
            (ada, "offline"),
            (ben, "offline"),
        ]
    ):
        await at.presence(agent, state)
        enquiry = await at.enquiry(await other.say(channel, f"v{number}"))
        asked.append((enquiry.status.value, [offer.agent_id for offer in enquiry.offers]))
    await engine.dispose()
    assert asked == [
        ("offered", [ben]),
        # Who is idle is asked when nobody is active.
        ("offered", [ben]),
        ("offered", [ada]),
        ("offered", [ada]),
        ("open", []),
        ("missed", []),
    ]


async def test_others_act_on_it_within_a_second(at: Desk) -> None:
    ada, ben = await at.agent("busy"), await at.agent("busy")
    channel = await at.channel(ada, ben, waiting_limit=3600)
    waits = await at.say(channel)
    took = []
    async with another(at) as one, another(at):
        # A machine that has much else to do may be late once.
        for _ in range(3):
            await one.presence(ada, "active")
            took.append(await _until(at, waits, "offered"))
            await one.presence(ada, "offline")
            took.append(await _until(at, waits, "open"))
        assert min(took[::2]) < 1
        assert min(took[1::2]) < 1
        # No heartbeat: a timer ends it, and nobody is there any more.
        await one.presence(ben, "active", expires_in=timedelta(seconds=30))
        await _until(at, waits, "offered")
        at.clock.advance(timedelta(seconds=30))
        await _until(at, waits, "missed")
    assert (await at.enquiry(waits)).pending_offers == []


async def test_an_agent_with_less_capacity_keeps_what_there_is_and_gets_no_more(at: Desk) -> None:
    ada = await at.agent(capacity=3)
    channel = await at.channel(ada)
    ongoing, offered = [await at.say(channel, each) or "" for each in ("v1", "v2")]
    await at.accept(ongoing, ada)
    await _capacity(at, ada, 1)
    assert (await at.enquiry(offered)).status == "offered"
    third = await at.say(channel, "v3")
    assert (await at.enquiry(third)).status == "open"
    await at.close(ongoing)
    await at.timers()
    assert (await at.enquiry(third)).status == "open"
    await at.close(offered)
    await at.timers()
    assert (await at.enquiry(third)).status == "offered"


async def test_an_agent_who_serves_other_channels_now_loses_the_offer(at: Desk) -> None:
    ada, ben = await at.agent(), await at.agent("busy")
    channel, other = await at.channel(ada, ben), await at.channel(ada)
    enquiry_id = await at.say(channel)
    await at.change("agents", ada, channel_ids=[other])
    async with at.database.unit_of_work() as work:
        await RoutingChanges().presence_changed(work, at.account, ada)
    await at.timers()
    row = await at.enquiry(enquiry_id)
    assert (row.status, [offer.status for offer in row.offers]) == ("open", ["withdrawn"])
    assert (await at.events(enquiry_id))[-1]["reason"] == "unavailable"


async def _capacity(at: Desk, agent: str, capacity: int) -> None:
    await at.change("agents", agent, capacity=capacity)
    async with at.database.unit_of_work() as work:
        await RoutingChanges().presence_changed(work, at.account, agent)
    await at.timers()
