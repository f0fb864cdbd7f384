"""How many inbound events a second the routing role gives their effects, relay and timers included.

The topic is filled before the role starts, so that it works as fast as it can until nothing waits:
every inbound event has its effect, and every public event is on Kafka. Traffic is what `town.py`
says; what was announced is compared with what had to be.

ROUTING_EVENTS says how many events there are, ROUTING_ACCOUNTS over how many accounts they spread,
ROUTING_PARTITIONS how many partitions the topics have. ROUTING_BROKER=apache measures on Apache
Kafka instead of the embedded broker. With ROUTING_STATEMENTS, PostgreSQL's dearest statements are
printed. It is measured once more without the figures that reports are made of (`without_reports`),
to show what they cost; `reports_cost` is by how much the time of an event grows with them.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from itertools import islice
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.figures import record
from benchmarks.stage import (
    OTHER_CORE,
    Broker,
    Role,
    Stage,
    broker_of,
    cpu_seconds,
    peak_mebibytes,
    pin,
    prefix_of,
    stage,
)
from benchmarks.town import Town
from gateway.broker.connection import KafkaConnection
from gateway.broker.partitioning import partition_of
from gateway.broker.topics import TopicRules, Topics
from gateway.clock import SystemClock
from gateway.contracts import topics as topic_names
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.topics import RecordedPartitions
from gateway.db.unit_of_work import Database
from gateway.settings import Settings

_CONTACTS: Final = 2000
_PAGES: Final = 20
_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 200.0

_DONE: Final = "SELECT coalesce(sum(next_offset), 0)::bigint FROM partition_owners"
_UNPUBLISHED: Final = "SELECT EXISTS (SELECT 1 FROM events WHERE position IS NULL)"
_BUSY: Final = """
    SELECT calls, round(total_exec_time) AS milliseconds, round(mean_exec_time * 1000) AS each,
           left(regexp_replace(query, '\\s+', ' ', 'g'), 110) AS query
    FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 40
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """One run. Seconds are from the first effect that was seen to the last public event."""

    seconds: float
    role_cpu: float
    database_cpu: float
    broker_cpu: float
    memory: float


def main() -> None:
    """Measure and keep the figures."""
    asyncio.run(_main())


async def _main() -> None:
    broker = broker_of("routing")
    prefix = prefix_of("routing", broker)
    whole = await _measure(broker, prefix)
    without = await _measure(broker, f"{prefix}.without_reports", reports=False)
    record(f"{prefix}.reports_cost", (without / whole - 1) * 100, "%")


async def _measure(broker: Broker, prefix: str, *, reports: bool = True) -> float:
    """Record what one run shows; return how many events a second it was."""
    events = int(_told("ROUTING_EVENTS", "60000"))
    accounts = int(_told("ROUTING_ACCOUNTS", "4"))
    town = Town(accounts=accounts, pages=_PAGES, contacts=_CONTACTS, events=events)
    environment = {
        "KAFKA_PARTITIONS": _told("ROUTING_PARTITIONS", "64"),
        # The role is to be that of the tree in which the benchmark is run.
        "PYTHONPATH": _told("PYTHONPATH", ""),
    }
    async with stage(broker=broker) as ground:
        if _told("ROUTING_STATEMENTS", ""):
            await _watch_statements(ground)
        await fill(ground, town, environment)
        if not reports:
            await _keep_no_figures(ground)
        async with ground.role("routing", environment=environment) as role:
            drained = await _drain(ground, role, events)
        await _check(ground, town, prefix)
        if _told("ROUTING_STATEMENTS", ""):
            await _statements(ground)
    record(f"{prefix}.events_per_second", events / drained.seconds, "1/s")
    record(f"{prefix}.cpu_per_event", drained.role_cpu / events * 1e6, "µs")
    record(f"{prefix}.database_cpu_per_event", drained.database_cpu / events * 1e6, "µs")
    record(f"{prefix}.broker_cpu_per_event", drained.broker_cpu / events * 1e6, "µs")
    record(f"{prefix}.memory_peak", drained.memory, "MiB")
    record(f"{prefix}.lag_at_the_end", 0, "records")
    return events / drained.seconds


def _told(name: str, otherwise: str) -> str:
    return os.environ.get(name, otherwise)  # noqa: TID251 - no setting of a role's


async def fill(ground: Stage, town: Town, environment: dict[str, str]) -> None:
    """Make the topics by a role's settings, settle the town, and write its events down."""
    told = {name.lower(): value for name, value in (ground.environment | environment).items()}
    known = {name: value for name, value in told.items() if name in Settings.model_fields}
    settings = Settings.model_validate(known)
    engine = create_engine(ground.database_url, pool_size=1, max_overflow=1, application_name="b")
    clock = SystemClock()
    keyring = KeyRing.from_text(ground.identity.encryption_keys)
    try:
        await Topics(
            KafkaConnection.from_settings(settings),
            TopicRules.from_settings(settings),
            RecordedPartitions(Database(engine, clock=clock, keyring=keyring)),
            names=topic_names.ALL,
        ).ensure()
    finally:
        await engine.dispose()
    now = clock.now()
    partitions = settings.kafka_partitions

    def place(key: bytes) -> int:
        return partition_of(key, partitions)

    await town.settle(ground.database_url, now=now, partition_of=place)
    producer = AIOKafkaProducer(
        bootstrap_servers=ground.bootstrap_servers, enable_idempotence=True, linger_ms=5
    )
    await producer.start()
    try:
        traffic = town.traffic(now)
        while some := list(islice(traffic, _AT_ONCE)):
            sent = [
                await producer.send(
                    topic_names.INBOUND,
                    key=event.key.encode(),
                    value=event.value(),
                    headers=event.headers(),
                    partition=place(event.key.encode()),
                    timestamp_ms=round(clock.now().timestamp() * 1000),
                )
                for event in some
            ]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _drain(ground: Stage, role: Role, events: int) -> Drained:
    connection = await asyncpg.connect(_dsn(ground))
    processes = (role.pid, ground.postgres.pid or 0, ground.kafka.pid or 0)
    try:
        deadline = time.monotonic() + _MOST_SECONDS
        # There is nothing to wait on but the numbers themselves.
        while await connection.fetchval(_DONE) == 0:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS / 10)
        began, before = time.monotonic(), [cpu_seconds(pid) for pid in processes]
        seen_at, seen = began, 0
        while True:
            done = await connection.fetchval(_DONE)
            now = time.monotonic()
            if done >= events and not await connection.fetchval(_UNPUBLISHED):
                break
            if now - seen_at >= 5:
                print(f"  {(done - seen) / (now - seen_at):,.0f}/s", flush=True)
                seen_at, seen = now, done
            if now > deadline:
                raise RuntimeError(f"{done} of {events} after {_MOST_SECONDS} s")
            await asyncio.sleep(_POLL_SECONDS)
        spent = [cpu_seconds(pid) - one for pid, one in zip(processes, before, strict=True)]
        of_role, of_database, of_broker = spent
        memory = peak_mebibytes(role.pid)
        return Drained(now - began, of_role, of_database, of_broker, memory)
    finally:
        await connection.close()


async def _check(ground: Stage, town: Town, prefix: str) -> None:
    """Compare what was announced with what had to be, and with what is on Kafka."""
    connection = await asyncpg.connect(_dsn(ground))
    try:
        rows = await connection.fetch("SELECT type, count(*) AS n FROM events GROUP BY type")
        letters = await connection.fetchval("SELECT count(*) FROM dead_letters")
    finally:
        await connection.close()
    announced = {row["type"]: row["n"] for row in rows}
    assert announced == town.expected, (announced, town.expected)
    assert letters == 0
    on_kafka = await _records(ground, topic_names.CONVERSATIONS)
    # The relay may repeat what it published when something failed, and leaves nothing out.
    repeated = on_kafka - sum(announced.values())
    assert repeated >= 0, (on_kafka, announced)
    record(f"{prefix}.public_events", on_kafka - repeated, "records")
    record(f"{prefix}.public_events_repeated", repeated, "records")


async def _records(ground: Stage, topic: str) -> int:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=ground.bootstrap_servers)
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        return sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()


async def _keep_no_figures(ground: Stage) -> None:
    connection = await asyncpg.connect(_dsn(ground))
    try:
        await connection.execute("ALTER TABLE enquiries DISABLE TRIGGER USER")
    finally:
        await connection.close()


async def _watch_statements(ground: Stage) -> None:
    """Start the database anew so that it counts what each statement costs."""
    postgres = ground.postgres
    connection = await asyncpg.connect(postgres.kind.superuser_address(postgres.port))
    await connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    await connection.close()
    await postgres.stop()
    with pin(OTHER_CORE):
        await postgres.start()
    connection = await asyncpg.connect(postgres.kind.superuser_address(postgres.port))
    await connection.execute("CREATE EXTENSION pg_stat_statements")
    await connection.close()


async def _statements(ground: Stage) -> None:
    connection = await asyncpg.connect(ground.postgres.kind.superuser_address(ground.postgres.port))
    try:
        for row in await connection.fetch(_BUSY):
            print(*row.values(), sep="\t")
    finally:
        await connection.close()


def _dsn(ground: Stage) -> str:
    return ground.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
