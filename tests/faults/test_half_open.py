"""Connections to the database whose other end is gone without a word, as a firewall leaves them."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.faults.roles import ROLES, Stage
from tests.faults.running import Run, under_traffic
from tests.faults.totals import add_run
from tests.support.detour import Detour
from tests.support.loop_thread import LoopThread

pytestmark = pytest.mark.faults

TIMES = 2
# A statement's time and its connection's farewell; then what lost transactions have locked, until
# PostgreSQL ends them after ten seconds.
BACK_SECONDS = 25.0
_LOOK_SECONDS = 0.05
_DONE = """
    SELECT EXISTS (
      SELECT FROM messages WHERE direction = 'inbound' AND accepted_at > to_timestamp($1)
    ) AS routed, EXISTS (
      SELECT FROM deliveries WHERE kind = 'message' AND first_attempt_at > to_timestamp($1)
    ) AS sent
"""


@pytest.mark.timeout(300)
async def test_connections_that_lead_nowhere_are_noticed(loop_thread: LoopThread) -> None:
    async with _detoured(loop_thread) as (stage, detour), stage.gateway() as gateway:
        pids = {name: kept.pid for name, kept in stage.processes.items()}
        seconds = []
        async with under_traffic(gateway, "half-open") as run:
            await _works(run, time.time())
            for _ in range(TIMES):
                forgotten = await asyncio.to_thread(stage.servers.run, detour.forget_all())
                # Each role has one for its wake-ups and one for its heart-beats at least.
                assert forgotten >= 2 * len(ROLES)
                struck = time.monotonic()
                await _works(run, time.time())
                await stage.until_ready(*stage.processes)
                seconds.append(round(time.monotonic() - struck, 2))
        assert pids == {name: kept.pid for name, kept in stage.processes.items()}
        late = await run.longest_waits()
        totals = await run.require_clean()
    add_run("half-open: seconds", {"back": max(seconds), **late})
    assert max(seconds) < BACK_SECONDS, seconds
    assert totals["uncertain_ever"] == 0


@asynccontextmanager
async def _detoured(loop_thread: LoopThread) -> AsyncIterator[tuple[Stage, Detour]]:
    """Give a stage whose roles reach the database by a detour."""
    detours: list[Detour] = []

    def way(address: str) -> str:
        port = urlsplit(address).port
        assert port is not None
        detours.append(Detour(port))
        return address.replace(f":{port}/", f":{loop_thread.run(detours[-1].open())}/")

    with tempfile.TemporaryDirectory(prefix="gateway-half-open-") as name:
        stage = Stage(Path(name), loop_thread, each=1, mortal=False, way=way)
        try:
            await asyncio.to_thread(stage.start)
            [detour] = detours
            yield stage, detour
        finally:
            await asyncio.to_thread(stage.stop)
            for detour in detours:
                await asyncio.to_thread(loop_thread.run, detour.close())


async def _works(run: Run, since: float) -> None:
    """Wait until something has been routed, told and answered, and sent since a moment."""
    async with asyncio.timeout(60):
        while not await _has_worked(run, since):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_SECONDS)


async def _has_worked(run: Run, since: float) -> bool:
    (done,) = await run.fetch(_DONE, since)
    answered = any(entry["at"] > since for entry in run.ledger.of("replied"))
    return bool(done["routed"] and done["sent"] and answered)
