"""No statement of daily work reads more of the big tables than what it is about.

Tables are small here, so that to read one from end to end would be right: scans, and joins that
want whole tables, are made to look dear. Who reads much all the same has no index for it.
"""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from benchmarks.database import superuser_address
from benchmarks.size.operations import Operation, Place, operations, places
from benchmarks.size.plans import Databases, Plan, explaining_databases
from benchmarks.size.rows import Extent, fill

from gateway.clock import SystemClock
from gateway.db.unit_of_work import UnitOfWork
from gateway.embedded import Postgres, Server

ROWS = 8_000
# The small place's operations are done more often than the others.
ROUNDS = 6
SAVES = re.compile(
    r"(?:\s*WITH recorded .*\))?\s*UPDATE (conversations|deliveries) \w SET .* jsonb_to_recordset",
    re.DOTALL,
)
NO_WHOLE_TABLES = dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin"), "off")


@pytest.fixture
async def extent(own_postgres: Server[Postgres]) -> Extent:
    extent = Extent(ROWS, SystemClock().now())
    connection = await asyncpg.connect(superuser_address(own_postgres))
    await fill(connection, extent)
    await connection.close()
    return extent


@pytest.fixture
async def explaining(own_postgres: Server[Postgres], extent: Extent) -> AsyncIterator[Databases]:
    address = superuser_address(own_postgres).replace("postgresql://", "postgresql+asyncpg://")
    async with explaining_databases(address, **NO_WHOLE_TABLES) as databases:
        yield databases


async def test_no_statement_reads_what_it_is_not_about(
    explaining: Databases, extent: Extent
) -> None:
    faults = []
    async for operation, place, plan in _plans(explaining, extent):
        fault = _fault(plan, operation.touches)
        if fault:
            faults.append(f"{operation.name} ({place.name}): {fault}\n  {plan.statement}")
    assert not faults, "\n".join(dict.fromkeys(faults))


async def test_rows_that_are_saved_are_looked_up_where_reading_all_looks_as_cheap(
    own_postgres: Server[Postgres], extent: Extent
) -> None:
    address = superuser_address(own_postgres).replace("postgresql://", "postgresql+asyncpg://")
    shapes: dict[str, set[str]] = {}
    async with explaining_databases(address) as databases:
        # The api plans each time, by how many rows there are; others never think of reading all.
        async for _, _, plan in _plans(databases, extent, role="api"):
            if saved := SAVES.match(plan.statement):
                shapes.setdefault(saved[1], set()).add(plan.shape)
    assert shapes == {"conversations": {"ix_conversations_id"}, "deliveries": {"pk_deliveries"}}


async def _plans(
    databases: Databases, extent: Extent, *, role: str | None = None
) -> AsyncIterator[tuple[Operation, Place, Plan]]:
    """Do every operation at every place, undo it, and tell of its plans (as another role's)."""
    for operation in operations():
        database, log = databases(role or operation.role)
        for place in _many(extent):
            async with database.engine.connect() as connection, connection.begin() as transaction:
                work = UnitOfWork(connection, now=extent.now, keyring=database.keyring)
                await operation.run(work, place)
                await transaction.rollback()
            for plan in await log.take():
                yield operation, place, plan


def _many(extent: Extent) -> list[Place]:
    small, *others = places(extent)
    return [small] * ROUNDS + others


def _fault(plan: Plan, touches: int) -> str | None:
    if plan.scanned:
        return f"scans {', '.join(plan.scanned)}"
    if plan.rows_read > touches:
        return f"reads {plan.rows_read} rows by {plan.shape}"
    if plan.rows_sorted > touches:
        return f"sorts {plan.rows_sorted} rows"
    return None
