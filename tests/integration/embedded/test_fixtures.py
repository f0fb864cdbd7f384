import asyncio
import os
import signal

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.support.clock import FakeClock
from tests.support.environment import environment

from gateway.db.migrate import head_revision
from gateway.embedded import Noida, Postgres, Server


def _dsn(url: str) -> str:
    return url.replace("+asyncpg", "", 1)


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_of_its_own(database_url: str, turn: int):
    connection = await asyncpg.connect(_dsn(database_url))
    try:
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == (
            head_revision()
        )
        # The second of the two would fail here if it saw what the first one committed.
        await connection.execute("CREATE TABLE left_behind AS SELECT 1")
    finally:
        await connection.close()


async def test_the_role_is_an_ordinary_one(database_url: str):
    connection = await asyncpg.connect(_dsn(database_url))
    try:
        assert not await connection.fetchval(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close()


async def test_an_empty_database_is_empty(empty_database_url: str):
    connection = await asyncpg.connect(_dsn(empty_database_url))
    try:
        assert not await connection.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_broker_of_its_own(kafka_bootstrap: str, turn: int):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        # Refused, if the other turn's were still there.
        await admin.create_topics([NewTopic("gateway.fixture.v1", 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        sent = await producer.send_and_wait("gateway.fixture.v1", b"x", partition=0)
    finally:
        await producer.stop()
    assert sent.offset == 0
    consumer = AIOKafkaConsumer(
        "gateway.fixture.v1", bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()
    assert record.value == b"x"


async def test_own_servers_can_be_killed_and_started_again(
    own_postgres: Server[Postgres], own_broker: Server[Noida]
):
    for server in (own_postgres, own_broker):
        before = (server.address, server.pid)
        assert before[1] is not None
        os.kill(before[1], signal.SIGKILL)
        assert await server.wait() == -signal.SIGKILL
        assert server.pid is None
        assert await server.start() == before[0]
        assert server.pid not in {None, before[1]}


def test_nothing_of_the_machine_shows_in_the_environment():
    assert not {"DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "HTTPS_PROXY"} & environment().keys()


def test_time_stands_still(clock: FakeClock):
    assert clock.now() == clock.now()
