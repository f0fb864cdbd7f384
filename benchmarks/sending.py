"""Sends a second of one sender on one core, to a local Graph that takes 50 ms over each.

What is to be sent stands in PostgreSQL before the sender starts, put there by the acceptance that
REST uses: several messages in each of many conversations of many Pages. Counted is from the first
call to the last. In the end each message must have come once, in its conversation's order, one
after another, and must stand as sent.
"""

import asyncio
import contextlib
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.desk import Desk, desk
from benchmarks.figures import record
from benchmarks.stage import OTHER_CORE, Stage, cpu_seconds, peak_mebibytes, pin, stage
from gateway.embedded import Program
from gateway.embedded.ports import free_port

_PAGES: Final = 30
_CONVERSATIONS: Final = 80
_MESSAGES: Final = 6
_GRAPH_MILLISECONDS: Final = 50
_PATIENCE_SECONDS: Final = 100.0

# When a send arrived, to whom, with which metadata and text.
Send: TypeAlias = tuple[float, str, str, str]


@contextlib.asynccontextmanager
async def slow_graph(directory: Path, *, milliseconds: int) -> AsyncIterator[str]:
    """Run a Graph beside the database; gives its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program(
        [sys.executable, "-m", "benchmarks.slow_graph", str(port), str(milliseconds)],
        env={"PATH": os.defpath},
        cwd=Path(__file__).resolve().parent.parent,
        output=directory / "graph.log",
    )
    with pin(OTHER_CORE):
        await program.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(10):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"{url}/journal")
                    break
                await asyncio.sleep(0.05)
        yield url
    finally:
        await program.stop()


async def journal(graph_url: str) -> list[Send]:
    """Return what Graph was sent, in the order of arrival."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return [tuple(each) for each in (await client.get(f"{graph_url}/journal")).json()]


def check(sends: Sequence[Send], *, conversations: int, messages: int) -> None:
    """Make sure that every message came once, in order, its predecessor answered before.

    Raises:
        AssertionError: It did not.
    """
    by_contact: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for at, contact, _metadata, words in sends:
        by_contact[contact].append((at, words))
    assert len(by_contact) == conversations, f"{len(by_contact)} conversations were written to"
    wanted = [str(n) for n in range(messages)]
    for contact, came in by_contact.items():
        assert [words for _, words in came] == wanted, f"{contact} got {came}"
        for (before, _), (after, _) in pairwise(came):
            assert after - before >= _GRAPH_MILLISECONDS / 1000, f"{contact}: side by side"
    assert len({metadata for _, _, metadata, _ in sends}) == len(sends)


async def _settled(engine: AsyncEngine, count: int) -> None:
    """Return once every message stands as sent and every delivery as delivered."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            async with engine.connect() as connection:
                rows = await connection.execute(
                    text(
                        "SELECT (SELECT count(*) FROM messages WHERE status = 'sent'),"
                        " (SELECT count(*) FROM deliveries WHERE status = 'delivered'"
                        "  AND NOT holds_lane)"
                    )
                )
                if tuple(rows.one()) == (count, count):
                    return
            await asyncio.sleep(0.5)


async def _measure(place: Stage, graph_url: str, full: Desk) -> None:
    count = len(full.conversations) * _MESSAGES
    async with place.role("sender", environment={"GRAPH_BASE_URL": graph_url}) as role:
        await _settled(full.database.engine, count)
        seconds, peak = cpu_seconds(role.pid), peak_mebibytes(role.pid)
    sends = await journal(graph_url)
    check(sends, conversations=len(full.conversations), messages=_MESSAGES)
    span = sends[-1][0] - sends[0][0]
    record("sending.messages", count, "messages")
    record("sending.sends_per_second", count / span, "1/s")
    record("sending.cpu_per_send", seconds / count * 1e6, "µs")
    record("sending.memory", peak, "MiB")


async def _run() -> None:
    async with (
        stage() as place,
        desk(
            place.database_url,
            place.identity.encryption_keys,
            pages=_PAGES,
            conversations_each=_CONVERSATIONS,
        ) as full,
        slow_graph(place.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
    ):
        for n in range(_MESSAGES):
            await full.accept(str(n))
        await _measure(place, graph_url, full)


def main() -> None:
    """Measure."""
    asyncio.run(_run())
