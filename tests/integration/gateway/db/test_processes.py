"""Heart-beats, the clock's skew and the product's clock against a real PostgreSQL."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from gateway.clock import SystemClock, TrueTime, true_now
from gateway.db.engine import create_engine
from gateway.db.processes import Process, advance_clock, certain_skew
from gateway.db.secrets import KeyRing
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


@pytest.fixture
async def database(database_url):
    engine = create_engine(database_url, pool_size=5, max_overflow=0, application_name="test")
    yield Database(engine, clock=SystemClock(), keyring=KeyRing({"a": bytes(32)}))
    await engine.dispose()


async def rows(database):
    async with database.engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT id, role, clock_version, clock_timestamp() - seen_at AS age FROM processes"
            )
        )
        return found.all()


def states(process):
    return process.clock_is_right, process.database_is_there


async def test_a_process_enters_itself_and_leaves(database):
    process = Process(database, process_id="p1", role="api")
    assert states(process) == (False, False)
    await process.join()
    (row,) = await rows(database)
    assert (row.id, row.role) == ("p1", "api")
    assert row.age < timedelta(seconds=2)
    assert states(process) == (True, True)
    await process.leave()
    assert await rows(database) == []


async def test_joining_without_a_database_says_so(database):
    url = "postgresql+asyncpg://127.0.0.1:1/none"
    engine = create_engine(url, pool_size=1, max_overflow=0, application_name="test")
    nowhere = Database(engine, clock=SystemClock(), keyring=database.keyring)
    with pytest.raises(OSError, match="onnect"):
        await Process(nowhere, process_id="p1", role="api").join()


@pytest.mark.parametrize(("ahead", "right"), [(1.5, True), (3.0, False), (-3.0, False)])
async def test_a_clock_that_is_off_is_noticed(database, ahead, right):
    process = Process(
        database,
        process_id="p1",
        role="api",
        machine_time=lambda: true_now() + timedelta(seconds=ahead),
    )
    await process.join()
    assert process.clock_is_right is right
    assert abs(process.skew.total_seconds() - ahead) < 0.5


async def test_a_machine_whose_clock_is_off_goes_by_the_databases(database):
    off = [600.0]
    true_time = TrueTime(machine=lambda: time.time() + off[0])
    process = Process(database, process_id="p1", role="sender", true_time=true_time)
    await process.join()
    assert abs(true_time.now() - true_now()) < timedelta(seconds=1)
    # Nor does it matter from now on what becomes of it.
    off[0] = -600.0
    assert abs(true_time.now() - true_now()) < timedelta(seconds=1)


def test_a_slow_round_trip_is_no_skew():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    later = moment + timedelta(seconds=9)
    between = moment + timedelta(seconds=4)
    assert certain_skew(moment, between, later) == timedelta()


async def test_a_newcomer_takes_over_where_the_clock_stands(database):
    await advance_clock(database, 3600)
    clock = SystemClock()
    await Process(database, process_id="p1", role="api", clock=clock).join()
    assert clock.offset == timedelta(hours=1)
    assert (await rows(database))[0].clock_version == 1


async def test_moving_the_clock_waits_for_every_live_process(database, database_url):
    clocks = [SystemClock(), SystemClock()]
    async with asyncio.TaskGroup() as group:
        wakeups = [Wakeups(database_url), Wakeups(database_url)]
        database._wake = wakeups[0].wake
        tasks = []
        for n, clock in enumerate(clocks):
            process = Process(
                database, process_id=f"p{n}", role="api", clock=clock, wakeups=wakeups[n]
            )
            await process.join()
            tasks += [group.create_task(wakeups[n].run()), group.create_task(process.run())]
        await advance_clock(database, 60)
        assert [clock.offset for clock in clocks] == [timedelta(seconds=60)] * 2
        await advance_clock(database, 60)
        assert [clock.offset for clock in clocks] == [timedelta(seconds=120)] * 2
        async with database.engine.connect() as connection:
            ahead = await connection.execute(text("SELECT gateway_now() - clock_timestamp()"))
            assert abs(ahead.scalar_one() - timedelta(seconds=120)) < timedelta(seconds=1)
        for task in tasks:
            task.cancel()


async def test_the_clock_does_not_wait_for_the_dead(database):
    await Process(database, process_id="dead", role="api", clock=SystemClock()).join()
    async with database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE processes SET seen_at = clock_timestamp() - interval '9 s'")
        )
    await advance_clock(database, 1)


async def test_the_clock_does_not_answer_before_the_living_confirmed(database):
    await Process(database, process_id="deaf", role="api", clock=SystemClock()).join()
    with pytest.raises(TimeoutError):
        await advance_clock(database, 1, patience_seconds=0.2)
