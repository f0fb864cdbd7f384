"""Connections whose other end is gone without a word."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from tests.support.detour import Detour

from gateway.db import pings, session_limits, wakeups
from gateway.db.engine import create_engine
from gateway.db.wakeups import Wakeups

_CONNECTIONS = 4
_PING_SECONDS = 0.5
QUESTION = "SELECT"


@pytest.fixture
async def detour(database_url):
    detour = Detour(make_url(database_url).port)
    yield detour
    await detour.close()


async def by(detour, database_url):
    url = make_url(database_url).set(port=await detour.open())
    return url.render_as_string(hide_password=False)


@asynccontextmanager
async def pool(address):
    engine = create_engine(
        address, pool_size=_CONNECTIONS, max_overflow=0, application_name="tests"
    )
    yield engine
    await engine.dispose()


async def backend(engine, together=None):
    """Return which of the server's processes answers."""
    async with engine.connect() as connection:
        if together is not None:
            await together.wait()
        return (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()


async def backends_of(engine, beginning):
    """Return which of the server's processes did such a thing last."""
    query = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE :beginning || '%'"
    )
    async with engine.connect() as connection:
        return (await connection.execute(query, {"beginning": beginning})).scalars().all()


async def overhear(engine):
    """Return a list of what is asked from now on over the pool's only connection."""
    heard = []
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        driver.add_query_logger(lambda logged: heard.append(logged.query))
    return heard


async def end(engine, *pids):
    """Have the server end sessions, and return when they are gone."""
    assert pids
    query = text("SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM unnest(:pids ::int[]) pid")
    async with engine.connect() as connection:
        assert (await connection.execute(query, {"pids": list(pids)})).scalar_one()


async def backends(engine):
    together = asyncio.Barrier(_CONNECTIONS)
    return set(await asyncio.gather(*(backend(engine, together) for _ in range(_CONNECTIONS))))


async def test_one_connection_that_leads_nowhere_is_enough_to_replace_all(
    detour, database_url, monkeypatch
):
    monkeypatch.setattr(pings, "_PING_SECONDS", _PING_SECONDS)
    monkeypatch.setattr(pings, "_TRUSTED_SECONDS", 0.0)
    async with pool(await by(detour, database_url)) as engine:
        before = await backends(engine)
        assert len(before) == _CONNECTIONS
        assert await detour.forget_all() == _CONNECTIONS
        began = time.monotonic()
        # One after the other, as a worker does: the first of them finds out for all.
        after = [await backend(engine) for _ in range(_CONNECTIONS)]
        assert _PING_SECONDS <= time.monotonic() - began < 2 * _PING_SECONDS + 1
        assert before.isdisjoint(after)


async def test_what_answers_is_used_again(detour, database_url):
    async with pool(await by(detour, database_url)) as engine:
        first = await backend(engine)
        assert [await backend(engine) for _ in range(3)] == [first] * 3


async def test_what_answered_just_now_is_asked_only_after_a_failure(database_url, monkeypatch):
    monkeypatch.setattr(pings, "_TRUSTED_SECONDS", 60.0)
    async with pool(database_url) as engine:
        heard = await overhear(engine)
        await backend(engine)
        assert QUESTION not in heard
        with pytest.raises(DBAPIError):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1 / 0"))
        assert QUESTION not in heard
        await backend(engine)
        assert heard.count(QUESTION) == 1


async def test_a_session_whose_end_was_told_is_replaced_however_lately_it_answered(
    database_url, monkeypatch
):
    monkeypatch.setattr(pings, "_TRUSTED_SECONDS", 60.0)
    async with pool(database_url) as engine, pool(database_url) as elsewhere:
        ended = asyncio.Event()
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda _: ended.set())
        first = await backend(engine)
        await end(elsewhere, first)
        async with asyncio.timeout(10):
            await ended.wait()
        assert await backend(engine) != first


async def test_a_session_that_the_server_ended_is_replaced_before_its_end_is_noticed(
    detour, database_url, monkeypatch
):
    monkeypatch.setattr(pings, "_TRUSTED_SECONDS", 0.0)
    async with pool(await by(detour, database_url)) as engine, pool(database_url) as elsewhere:
        first = await backend(engine)
        detour.tells_of_ends = False
        await end(elsewhere, first)
        assert await backend(engine) != first
        detour.tells_of_ends = True


async def test_a_lost_transaction_lets_go_whatever_it_was_in_the_middle_of(
    detour, database_url, monkeypatch
):
    update = text("UPDATE contended SET number = number + 1")
    async with pool(await by(detour, database_url)) as engine, pool(database_url) as elsewhere:
        # Who waits for the lock has longer than who holds it.
        async with elsewhere.begin() as connection:
            await connection.execute(text("CREATE TABLE contended AS SELECT 1 AS number"))
        monkeypatch.setattr(session_limits, "_WHOLE", 1_000)
        lost = await engine.connect()
        await lost.execute(update)
        raw = await lost.get_raw_connection()
        # Prepared and not executed yet: the server takes the session for active.
        await raw.driver_connection.prepare("SELECT 1 WHERE $1::int > 0")
        await detour.forget_all()
        async with elsewhere.begin() as connection:
            assert (await connection.execute(update)).rowcount == 1
        await lost.invalidate()
        await lost.close()


async def test_wake_ups_go_on_when_the_server_ended_their_session(
    detour, database_url, monkeypatch
):
    monkeypatch.setattr(wakeups, "_RECONNECT_SECONDS", 0.1)
    waking = Wakeups(await by(detour, database_url))
    heard: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    waking.listen("sender", heard.put_nowait)
    async with pool(database_url) as elsewhere, asyncio.TaskGroup() as group:
        running = group.create_task(waking.run())
        async with asyncio.timeout(10):
            assert await heard.get() == frozenset()
            detour.tells_of_ends = False
            await end(elsewhere, *await backends_of(elsewhere, "LISTEN"))
            waking.wake("sender", [7])
            # What could not be announced is found by looking everywhere.
            assert await heard.get() == frozenset()
            waking.wake("sender", [8])
            assert await heard.get() == frozenset({8})
        running.cancel()


async def test_who_only_listens_finds_out_too(detour, database_url, monkeypatch):
    for name in ("_QUIET_SECONDS", "_ANSWER_SECONDS", "_RECONNECT_SECONDS"):
        monkeypatch.setattr(wakeups, name, 0.3)
    listening, waking = Wakeups(await by(detour, database_url)), Wakeups(database_url)
    heard: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    listening.listen("sender", heard.put_nowait)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run()) for each in (listening, waking)]
        async with asyncio.timeout(10):
            assert await heard.get() == frozenset()
            await detour.forget_all()
            # Connected anew: look everywhere.
            assert await heard.get() == frozenset()
            waking.wake("sender", [7])
            assert await heard.get() == frozenset({7})
        for each in running:
            each.cancel()
