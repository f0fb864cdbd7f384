"""Sends a second of one sender on one core, to a local Graph that takes 50 ms over each.

What is to be sent stands in PostgreSQL before the sender starts, put there by the acceptance that
REST uses: several messages in each of many conversations of 30 Pages, then one in each conversation
of 10,000 Pages. Counted is from the first call to the last. In the end each message must have come
once, in its conversation's order, one after another, and must stand as sent. What PostgreSQL wrote
for it meanwhile is told for each send.
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
_MANY_PAGES: Final = 10_000
_PATIENCE_SECONDS: Final = 100.0

_WRITTEN: Final = text(
    """
    SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint AS rows,
           pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal
    FROM pg_stat_user_tables
    """
)
# Backends tell what they did about once a second.
_TOLD_SECONDS: Final = 1.5

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


def sends_to(graph_url: str) -> dict[str, str]:
    """Return the settings of roles that send there: it knows sends and nothing else of Graph."""
    return {"GRAPH_BASE_URL": graph_url, "CHANNEL_PROBE_SECONDS": "1e9"}


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


async def written(engine: AsyncEngine) -> tuple[int, int]:
    """Return how many rows, and bytes of its log, PostgreSQL has written so far."""
    await asyncio.sleep(_TOLD_SECONDS)
    async with engine.connect() as connection:
        row = (await connection.execute(_WRITTEN)).one()
    return row.rows, row.wal


async def _measure(place: Stage, graph_url: str, full: Desk, *, messages: int, name: str) -> None:
    count = len(full.conversations) * messages
    rows, wal = await written(full.database.engine)
    async with place.role("sender", environment=sends_to(graph_url)) as role:
        await _settled(full.database.engine, count)
        seconds, peak = cpu_seconds(role.pid), peak_mebibytes(role.pid)
    rows_after, wal_after = await written(full.database.engine)
    sends = await journal(graph_url)
    check(sends, conversations=len(full.conversations), messages=messages)
    span = sends[-1][0] - sends[0][0]
    record(f"{name}.messages", count, "messages")
    record(f"{name}.sends_per_second", count / span, "1/s")
    record(f"{name}.cpu_per_send", seconds / count * 1e6, "µs")
    record(f"{name}.memory", peak, "MiB")
    record(f"{name}.rows_per_send", (rows_after - rows) / count, "rows")
    record(f"{name}.wal_per_send", (wal_after - wal) / count, "bytes")


async def _run(*, pages: int, conversations_each: int, messages: int, name: str) -> None:
    async with (
        stage() as place,
        desk(
            place.database_url,
            place.identity.encryption_keys,
            pages=pages,
            conversations_each=conversations_each,
        ) as full,
        slow_graph(place.directory, milliseconds=_GRAPH_MILLISECONDS) as graph_url,
    ):
        for n in range(messages):
            await full.accept(str(n))
        await _measure(place, graph_url, full, messages=messages, name=name)


def main() -> None:
    """Measure."""
    few = _run(pages=_PAGES, conversations_each=_CONVERSATIONS, messages=_MESSAGES, name="sending")
    asyncio.run(few)
    many = _run(pages=_MANY_PAGES, conversations_each=1, messages=1, name="sending.many_targets")
    asyncio.run(many)
