"""Measures the hot statements of every role on tables of a million rows.

`python -m benchmarks database` fills an embedded PostgreSQL of its own, which takes some
minutes. It prints, for each statement, its median and longest time in
the server, the rows and blocks that it looked at, and the indexes that it went through.
"""

import asyncio
import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.figures import record
from benchmarks.size.operations import Operation, Place, operations, places
from benchmarks.size.plans import Databases, Plan, PlanLog, explaining_databases
from benchmarks.size.rows import Extent, fill
from gateway.clock import SystemClock
from gateway.db.migrate import upgrade
from gateway.db.unit_of_work import Database, UnitOfWork
from gateway.embedded import Postgres, Server

ROWS: Final = 1_000_000
_ROUNDS: Final = 7


async def run(
    operation: Operation, database: Database, log: PlanLog, at: Sequence[Place]
) -> list[Plan]:
    """Do an operation time and again at each place, undo it, and return the plans."""
    plans: list[Plan] = []
    for place in at:
        for _ in range(_ROUNDS):
            async with database.engine.connect() as connection, connection.begin() as transaction:
                work = UnitOfWork(connection, now=place.extent.now, keyring=database.keyring)
                await operation.run(work, place)
                await transaction.rollback()
            plans += await log.take()
    return plans


async def measure(databases: Databases, extent: Extent) -> None:
    """Print what each statement of each operation costs."""
    print("| role | operation | statement | median ms | longest ms | rows | blocks | sorted | by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for operation in operations():
        database, log = databases(operation.role)
        plans = await run(operation, database, log, places(extent))
        statements: dict[str, list[Plan]] = {}
        for plan in plans:
            statements.setdefault(plan.statement, []).append(plan)
        longest = 0.0
        for statement, runs in statements.items():
            times = [plan.milliseconds for plan in runs]
            longest = max(longest, statistics.median(times))
            worst = max(runs, key=lambda plan: plan.rows_read)
            slowest = max(runs, key=lambda plan: plan.milliseconds)
            shapes = dict.fromkeys(plan.shape for plan in (runs[0], worst, runs[-1]))
            print(
                f"| {operation.role} | {operation.name} | {statement[:60]} "
                f"| {statistics.median(times):.2f} | {slowest.milliseconds:.2f} "
                f"| {worst.rows_read} | {max(plan.blocks for plan in runs)} "
                f"| {max(plan.rows_sorted for plan in runs)} "
                f"| {' / '.join(shapes)} |",
                flush=True,
            )
        name = re.sub(r"\W+", "_", operation.name).strip("_")
        record(f"database.{operation.role}.{name}", longest, "ms")


async def filled(server: Server[Postgres], extent: Extent) -> None:
    """Migrate and fill a new server's database."""
    await asyncio.to_thread(upgrade, server.address)
    connection = await asyncpg.connect(superuser_address(server))
    try:
        await fill(connection, extent)
    finally:
        await connection.close()


def superuser_address(server: Server[Postgres]) -> str:
    """Return the address of the product's database for the superuser, as asyncpg takes it."""
    return server.kind.superuser_address(server.port).rpartition("/")[0] + "/gateway"


async def _measure_on(server: Server[Postgres], extent: Extent) -> None:
    address = superuser_address(server).replace("postgresql://", "postgresql+asyncpg://", 1)
    async with explaining_databases(address) as databases:
        await measure(databases, extent)


async def _main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="gateway-size-"))
    directory.chmod(0o711)
    extent = Extent(ROWS, SystemClock().now())
    try:
        async with Server(Postgres(directory / "postgres", durable=False)) as server:
            await filled(server, extent)
            await _measure_on(server, extent)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Fill, measure and print."""
    asyncio.run(_main())
