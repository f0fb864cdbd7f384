"""Migrations: from nothing, twice, two deployers at once, and in step with the tables."""

import asyncio
import sys

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.db.migrate import configuration, head_revision, upgrade
from gateway.db.revisions import Revisions
from gateway.db.tables import metadata


async def test_from_nothing_to_the_present_schema_and_again(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url)
    await asyncio.to_thread(upgrade, empty_database_url)
    assert await _revision(empty_database_url) == head_revision()


async def test_two_deployers_queue(empty_database_url: str) -> None:
    # Processes, as deployers are: Alembic keeps its context in a module.
    program = "import sys; from gateway.db.migrate import upgrade; upgrade(sys.argv[1])"
    deployers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, empty_database_url)
        for _ in range(3)
    ]
    assert [await deployer.wait() for deployer in deployers] == [0, 0, 0]
    assert await _revision(empty_database_url) == head_revision()


async def test_tables_and_migrations_do_not_differ(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": _is_ours}
        )
        return list(compare_metadata(context, metadata))

    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def test_roles_know_the_revisions_that_alembic_knows() -> None:
    script = ScriptDirectory.from_config(configuration(""))
    known = Revisions.of_this_release()
    assert script.get_heads() == [known.head]
    assert {each.revision for each in script.walk_revisions()} == {known.head, *known.older}


async def test_a_fresh_database_has_shards_a_clock_and_a_place_for_events(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    assert await connection.fetchval("SELECT count(*) FROM shards") == 3 * 256
    assert await connection.fetchval("SELECT gateway_now() - clock_timestamp() < '1 s'")
    assert await connection.fetchval("SELECT to_regclass('events_default') IS NOT NULL")
    await connection.close()


async def _revision(database_url: str) -> str:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    await connection.close()
    return str(revision)


def _is_ours(_object: object, name: str, kind: str, _reflected: object, _other: object) -> bool:
    return not (kind == "table" and (name.startswith("events_") or name == "alembic_version"))
