"""How the pool's connections plan statements."""

from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from gateway.db.engine import PLANNED_EACH_TIME, PLANNED_ONCE, create_engine

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

TIMES = 7
FEW = "SELECT name FROM few WHERE id = "
PLANS = text(
    "SELECT custom_plans, generic_plans FROM pg_prepared_statements"
    " WHERE starts_with(statement, :beginning)"
)


@asynccontextmanager
async def a_few(database_url, **settings):
    """Give a connection that has a table with one row."""
    engine = create_engine(
        database_url, pool_size=1, max_overflow=0, application_name="tests", **settings
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TEMP TABLE few (id int PRIMARY KEY, name text)"))
            await connection.execute(text("INSERT INTO few VALUES (1, 'one')"))
            await connection.execute(text("ANALYZE few"))
            yield connection
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    ("planning", "custom", "generic"),
    [(PLANNED_ONCE, 0, TIMES), (PLANNED_EACH_TIME, TIMES, 0)],
    ids=["once", "each time"],
)
async def test_statements_are_planned_as_often_as_it_says(database_url, planning, custom, generic):
    async with a_few(database_url, planning=planning) as connection:
        for number in range(TIMES):
            await connection.execute(text(f"{FEW}:id"), {"id": number})
        assert (await connection.execute(PLANS, {"beginning": FEW})).one() == (custom, generic)


async def test_a_plan_that_is_kept_does_not_read_all_of_a_table_that_is_small_yet(database_url):
    async with a_few(database_url) as connection:
        plan = await connection.execute(text(f"EXPLAIN {FEW} 1"))
        assert "Index Scan using few_pkey" in plan.scalars().first()
