"""What every role begins with: telemetry, database, heart-beat, wake-ups, and the operators' port.

A role is `run_role(settings, role, compose)`; `compose` gets the parts and starts what is the
role's own.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
import uuid_utils.compat
from sqlalchemy.exc import SQLAlchemyError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from gateway.broker.connection import KafkaConnection
from gateway.broker.producer import KafkaProducer
from gateway.broker.topics import TopicRules, Topics
from gateway.clock import SystemClock
from gateway.contracts import topics as topic_names
from gateway.db.engine import PLANNED_EACH_TIME, PLANNED_ONCE, create_engine
from gateway.db.leases import ShardLeases
from gateway.db.media_links import MediaLinks
from gateway.db.processes import Process
from gateway.db.schema import SchemaRevision
from gateway.db.secrets import KeyRing
from gateway.db.topics import RecordedPartitions
from gateway.db.unit_of_work import Database
from gateway.db.wakeups import Wakeups
from gateway.lifecycle import Lifecycle, run_process
from gateway.ops import Check, ops_server
from gateway.settings import Settings
from gateway.telemetry import configure_telemetry
from gateway.tracing import Tracing

# Heart-beats, leases and the look at the schema; nothing else may keep them waiting.
_BEAT_CONNECTIONS: Final = 3
# How many more objects there may be before the collector of cycles looks at the new ones.
_YOUNG_OBJECTS: Final = 10_000

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class RoleParts:
    """What a role is put together from.

    Attributes:
        settings: The configuration.
        role: `api`, `routing` or `sender`.
        process_id: Of this start of this process.
        lifecycle: Takes the role's parts, and how they drain and close.
        clock: The product's; `gateway dev` may move it.
        tracing: The process's spans.
        database: For the role's work.
        beat_database: The same database through few connections of its own; for leases.
        wakeups: Both ends; `listen` while the role is composed, it runs afterwards.
        process: The heart-beat.
        checks: What has to hold for the process to be ready; the role adds its own.
    """

    settings: Settings
    role: str
    process_id: str
    lifecycle: Lifecycle
    clock: SystemClock
    tracing: Tracing
    database: Database
    beat_database: Database
    wakeups: Wakeups
    process: Process
    checks: dict[str, Check] = field(default_factory=dict)
    _leases: list[ShardLeases] = field(default_factory=list)

    def begin(self) -> None:
        """Start what the role has only described so far."""
        self.lifecycle.supervise("process", self.process.run)
        self.lifecycle.supervise("wakeups", self.wakeups.run)
        for leases in self._leases:
            self.lifecycle.supervise(f"leases-{leases.role}", leases.run)

    def leases(self, role: str) -> ShardLeases:
        """Return the leases on the shards of `sender`, `relay` or `timers`.

        They are taken once `compose` has returned, and given back at the end.
        """
        leases = ShardLeases(
            role,
            self.beat_database,
            process_id=self.process_id,
            process_role=self.role,
            wakeups=self.wakeups,
        )
        self._leases.append(leases)
        # The role's own drain has let work end before.
        self.lifecycle.on_close(f"leases-{role}", lambda: leases.release_all(seconds=0.5))
        return leases

    def topics(self) -> Topics:
        """Return the topics, made at start-up where they are missing."""
        return Topics(
            self.kafka(),
            TopicRules.from_settings(self.settings),
            RecordedPartitions(self.database),
            names=topic_names.ALL,
        )

    def kafka(self) -> KafkaConnection:
        """Return how to reach Kafka."""
        return KafkaConnection.from_settings(self.settings)

    def producer(self, topics: Topics) -> KafkaProducer:
        """Start a producer, and flush it at the end."""
        producer = KafkaProducer(
            self.kafka(), topics, max_message_bytes=self.settings.kafka_max_message_bytes
        )
        self.lifecycle.supervise("producer", producer.run)
        self.lifecycle.on_close("producer", lambda: producer.stop(1.0))
        self.checks["kafka"] = lambda: producer.reachable
        return producer


Compose = Callable[[RoleParts], Awaitable[None]]


def run_role(settings: Settings, role: str, compose: Compose) -> None:
    """Run a role until it is told to end; ends the program with its exit code.

    The process is ready once `compose` has returned and every check holds.
    """
    tracing = configure_telemetry(settings, role=role)
    try:
        keyring = KeyRing.from_text(settings.encryption_keys.get_secret_value())
    except ValueError as error:
        sys.exit(str(error))

    async def main(lifecycle: Lifecycle) -> None:
        lifecycle.on_close("tracing", _off_the_loop(tracing))
        await _compose(_parts(settings, role, lifecycle, tracing, keyring), compose)

    sys.exit(run_process(main, drain_seconds=settings.drain_seconds))


async def _compose(parts: RoleParts, compose: Compose) -> None:
    lifecycle, settings = parts.lifecycle, parts.settings
    composed = False
    schema = SchemaRevision(parts.beat_database)
    parts.checks |= {
        "started": lambda: composed,
        "not-stopping": lambda: not lifecycle.is_ending,
        "database": lambda: parts.process.database_is_there,
        "clock": lambda: parts.process.clock_is_right,
        "schema": lambda: schema.fits,
    }
    ops = ops_server(parts.checks, host=settings.ops_host, port=settings.ops_port)
    lifecycle.supervise("ops", ops.run)
    for database in (parts.beat_database, parts.database):
        lifecycle.on_close("database", database.engine.dispose)
    lifecycle.supervise("schema", schema.run)
    await schema.wait()
    await _insist(parts.process.join)
    # After the leases of the role, which are closed before: the last one named comes first.
    await compose(parts)
    lifecycle.on_close("process", parts.process.leave)
    parts.begin()
    _leave_alone_what_stays()
    composed = True
    log.info("process.started", process_id=parts.process_id)


def _parts(
    settings: Settings, role: str, lifecycle: Lifecycle, tracing: Tracing, keyring: KeyRing
) -> RoleParts:
    url = settings.database_url.get_secret_value()
    clock = SystemClock()
    process_id = f"{role}-{uuid_utils.compat.uuid7()}"
    wakeups = Wakeups(url)

    def database(
        *,
        pool_size: int,
        max_overflow: int,
        application_name: str,
        planning: Mapping[str, str] = PLANNED_ONCE,
    ) -> Database:
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=max_overflow,
            application_name=application_name,
            planning=planning,
        )
        return Database(
            engine,
            clock=clock,
            keyring=keyring,
            wake=wakeups.wake,
            links=MediaLinks(
                keyring,
                public_url=settings.public_url,
                life=timedelta(seconds=settings.media_link_seconds),
            ),
        )

    beats = database(
        pool_size=_BEAT_CONNECTIONS, max_overflow=0, application_name=f"gateway-{role}-beats"
    )
    return RoleParts(
        settings=settings,
        role=role,
        process_id=process_id,
        lifecycle=lifecycle,
        clock=clock,
        tracing=tracing,
        database=database(
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_pool_overflow,
            application_name=f"gateway-{role}",
            planning=PLANNED_EACH_TIME if role == "api" else PLANNED_ONCE,
        ),
        beat_database=beats,
        wakeups=wakeups,
        process=Process(
            beats,
            process_id=process_id,
            role=role,
            clock=clock if settings.clock_movable else None,
            wakeups=wakeups,
        ),
    )


def _leave_alone_what_stays() -> None:
    """Keep the collector of cycles from what lives as long as the process.

    A full collection walks over all that was imported, which stops the process for a tenth of a
    second, several times a minute under load; and ordinary requests leave few cycles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


async def _insist(step: Callable[[], Awaitable[None]]) -> None:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((SQLAlchemyError, OSError, TimeoutError)),
        wait=wait_exponential(multiplier=0.2, max=5),
    ):
        with attempt:
            await step()


def _off_the_loop(tracing: Tracing) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        # It may wait for the collector.
        await asyncio.to_thread(tracing.close)

    return close
