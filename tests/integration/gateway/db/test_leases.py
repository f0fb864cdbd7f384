"""Leases against a real PostgreSQL: takeover, fencing, fair spread, giving back, outages."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from gateway.clock import SystemClock
from gateway.db import leases
from gateway.db.engine import create_engine
from gateway.db.leases import ShardLeases
from gateway.db.processes import Process
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.domain.shards import SHARDS

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


@pytest.fixture
async def database(database_url):
    engine = create_engine(database_url, pool_size=8, max_overflow=0, application_name="test")
    yield Database(engine, clock=SystemClock(), keyring=KeyRing({"a": bytes(32)}))
    await engine.dispose()


@pytest.fixture
async def nowhere():
    url = "postgresql+asyncpg://127.0.0.1:1/none"
    engine = create_engine(url, pool_size=1, max_overflow=0, application_name="test")
    yield Database(engine, clock=SystemClock(), keyring=KeyRing({"a": bytes(32)}))
    await engine.dispose()


class Owner:
    """A process with leases, its row in `processes`, and what it was told."""

    def __init__(self, database, name, monotonic=time.monotonic, wakeups=None):
        self.database = database
        self.name = name
        self.process = Process(database, process_id=name, role="sender")
        self.leases = ShardLeases(
            "sender",
            database,
            process_id=name,
            process_role="sender",
            monotonic=monotonic,
            wakeups=wakeups,
        )
        self.gained: asyncio.Queue[object] = asyncio.Queue()
        self.losing: asyncio.Queue[frozenset[int]] = asyncio.Queue()
        self.may_let_go = asyncio.Event()
        self.may_let_go.set()
        self.leases.on_gained(self.gained.put_nowait)
        self.leases.on_losing(self._lose)

    async def _lose(self, shards):
        self.losing.put_nowait(shards)
        await self.may_let_go.wait()

    @asynccontextmanager
    async def running(self):
        await self.process.join()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.leases.run())
            yield self
            task.cancel()

    async def gain(self, count):
        while len(self.leases.mine) < count:
            async with asyncio.timeout(10):
                await self.gained.get()


async def divided(*those):
    """Wait until these owners have every shard between them, and each has some."""
    mine = [each.leases for each in those]
    while sum(len(each.mine) for each in mine) < SHARDS or not all(each.mine for each in mine):
        waits = [asyncio.ensure_future(each.gained.get()) for each in those]
        done, pending = await asyncio.wait(waits, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert done
        for wait in pending:
            wait.cancel()


async def execute(database, statement, **parameters):
    async with database.engine.begin() as connection:
        return await connection.execute(text(statement), parameters)


async def owners(database):
    rows = await execute(database, "SELECT shard, owner, epoch FROM shards WHERE role = 'sender'")
    return {row.shard: (row.owner, row.epoch) for row in rows}


async def bury(database, name):
    """Let a process look as if it had fallen silent long ago."""
    await execute(
        database,
        "UPDATE shards SET expires_at = clock_timestamp() - interval '1 s' WHERE owner = :name",
        name=name,
    )
    await execute(database, "DELETE FROM processes WHERE id = :name", name=name)


async def test_a_lone_process_takes_every_shard(database):
    async with Owner(database, "one").running() as one:
        await one.gain(SHARDS)
        assert set(one.leases.mine.values()) == {1}
        assert all(one.leases.safe(shard) for shard in range(SHARDS))
        assert {owner for owner, _ in (await owners(database)).values()} == {"one"}


async def test_each_renewal_is_told(database):
    owner, renewed = Owner(database, "one"), asyncio.Event()
    owner.leases.on_renewed(renewed.set)
    async with owner.running():
        for _ in range(2):
            async with asyncio.timeout(10):
                await renewed.wait()
            renewed.clear()


async def test_only_the_role_asked_for_is_taken(database):
    async with Owner(database, "one").running() as one:
        await one.gain(SHARDS)
        others = await execute(database, "SELECT count(owner) FROM shards WHERE role <> 'sender'")
        assert others.scalar_one() == 0


async def test_shards_are_spread_fairly_and_a_newcomer_gets_its_share(database):
    async with Owner(database, "one").running() as one:
        await one.gain(SHARDS)
        async with Owner(database, "two").running() as two:
            async with asyncio.timeout(10):
                given = await one.losing.get()
            await two.gain(len(given))
            assert 90 < len(given) < 166
            assert not one.leases.mine.keys() & two.leases.mine.keys()
            assert len(one.leases.mine) + len(two.leases.mine) == SHARDS
            # Each was a takeover.
            assert {two.leases.mine[shard] for shard in given} == {2}
            assert {one.leases.mine[shard] for shard in one.leases.mine} == {1}


async def test_a_third_process_moves_only_its_own_share(database):
    async with Owner(database, "one").running() as one, Owner(database, "two").running() as two:
        await divided(one, two)
        before = await owners(database)
        async with Owner(database, "three").running() as three:
            async with asyncio.timeout(10):
                await one.losing.get()
                await two.losing.get()
            await divided(one, two, three)
            after = await owners(database)
    moved = Counter(after[shard][0] for shard in after if after[shard][0] != before[shard][0])
    assert set(moved) == {"three"}


async def test_work_drains_before_a_shard_goes_to_another(database):
    async with Owner(database, "one").running() as one:
        await one.gain(SHARDS)
        one.may_let_go.clear()
        async with Owner(database, "two").running() as two:
            async with asyncio.timeout(10):
                given = await one.losing.get()
            shard = next(iter(given))
            assert not one.leases.safe(shard)
            assert shard not in one.leases.mine
            # It is still leased, so that its calls can settle, and nobody else has it.
            assert (await owners(database))[shard] == ("one", 1)
            assert not two.leases.mine
            one.may_let_go.set()
            await two.gain(len(given))
            assert (await owners(database))[shard] == ("two", 2)


async def test_a_dead_process_loses_its_shards_to_a_higher_epoch(database):
    one = Owner(database, "one")
    async with one.running():
        await one.gain(SHARDS)
    await bury(database, "one")
    async with Owner(database, "two").running() as two:
        await two.gain(SHARDS)
        assert set(two.leases.mine.values()) == {2}


async def test_the_stale_process_learns_that_it_lost(database):
    async with Owner(database, "one").running() as one:
        await one.gain(SHARDS)
        # As if it had been frozen while another took shard 7.
        await execute(
            database,
            "UPDATE shards SET owner = 'thief', epoch = 9, expires_at = clock_timestamp()"
            " + interval '1 h' WHERE role = 'sender' AND shard = 7",
        )
        async with asyncio.timeout(10):
            assert await one.losing.get() == {7}
        assert 7 not in one.leases.mine
        assert not one.leases.safe(7)
        assert one.leases.safe(8)


async def test_a_lapsed_lease_that_nobody_took_keeps_its_epoch(database):
    one = Owner(database, "one")
    async with one.running():
        await one.gain(SHARDS)
    await bury(database, "one")
    again = Owner(database, "one")
    async with again.running():
        await again.gain(SHARDS)
        assert set(again.leases.mine.values()) == {1}


async def test_nothing_is_mine_once_the_lease_may_have_lapsed(database):
    now = [1000.0]
    one = Owner(database, "one", monotonic=lambda: now[0])
    async with one.running():
        await one.gain(SHARDS)
    assert one.leases.safe(0)
    now[0] += 5.9
    assert one.leases.safe(0)
    now[0] += 0.2
    assert not one.leases.safe(0)
    assert not one.leases.mine


async def test_an_outage_costs_the_leases_and_nothing_else(database, nowhere):
    now = [1000.0]
    one = Owner(database, "one", monotonic=lambda: now[0])
    async with one.running():
        await one.gain(SHARDS)
        one.leases._database = nowhere
        now[0] += 7
        one.leases._nudged.set()
        async with asyncio.timeout(10):
            assert len(await one.losing.get()) == SHARDS
        one.leases._database = database
        await one.gain(SHARDS)
        assert set(one.leases.mine.values()) == {1}


async def test_a_process_that_leaves_hands_over_at_once(database):
    one = Owner(database, "one")
    async with one.running():
        await one.gain(SHARDS)
    await one.process.leave()
    await one.leases.release_all()
    assert not one.leases.mine
    assert len(await one.losing.get()) == SHARDS
    assert {owner for owner, _ in (await owners(database)).values()} == {None}


async def test_whoever_stays_is_told_by_a_process_that_has_all_but_ended(
    database, database_url, monkeypatch
):
    # Nobody comes by in time.
    monkeypatch.setattr(leases, "RENEW_SECONDS", 3600.0)
    listening = Wakeups(database_url)
    going = Owner(database, "a", wakeups=Wakeups(database_url))
    staying = Owner(database, "b", wakeups=listening)
    renewed: asyncio.Queue[None] = asyncio.Queue()
    staying.leases.on_renewed(lambda: renewed.put_nowait(None))
    async with going.running():
        await going.gain(SHARDS)
        async with staying.running():
            await renewed.get()
            waking = asyncio.ensure_future(listening.run())
            # Who has just begun to listen looks for itself.
            await renewed.get()
            assert not staying.leases.mine
            await going.process.leave()
            await going.leases.release_all()
            await staying.gain(SHARDS)
        waking.cancel()


async def test_two_processes_that_start_together_never_share_a_shard(database):
    async with asyncio.TaskGroup() as group:
        pair = [Owner(database, name) for name in ("one", "two")]
        for each in pair:
            await each.process.join()
        for each in pair:
            group.create_task(each.leases._renew(group))
    one, two = (each.leases.mine for each in pair)
    assert not one.keys() & two.keys()
    assert len(one) + len(two) == SHARDS
