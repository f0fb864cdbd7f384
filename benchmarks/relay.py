"""What a public event costs the relay: CPU of its process, and events a second of one core.

The events are those of accepted messages. The relay runs here as it does beside routing, which it
shares its process with, on a core of its own.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Final, cast

from benchmarks.desk import desk
from benchmarks.figures import record
from benchmarks.stage import ROLE_CORE, Stage, stage
from gateway.broker.connection import KafkaConnection
from gateway.broker.producer import KafkaProducer
from gateway.broker.topics import TopicRules, Topics
from gateway.clock import SystemClock
from gateway.contracts import topics as topic_names
from gateway.db.engine import create_engine
from gateway.db.leases import Gained, ShardLeases
from gateway.db.secrets import KeyRing
from gateway.db.topics import RecordedPartitions
from gateway.db.unit_of_work import Database
from gateway.domain.shards import SHARDS
from gateway.relay import Relay
from gateway.settings import Settings

_PAGES: Final = 10
_CONVERSATIONS: Final = 200
_MESSAGES: Final = 6


class _AllShards:
    """Leases that never end."""

    mine: Mapping[int, int] = dict.fromkeys(range(SHARDS), 1)

    def safe(self, _shard: int) -> bool:
        return True

    def on_gained(self, callback: Gained) -> None:
        callback(self.mine)


def main() -> None:
    """Measure."""
    os.sched_setaffinity(0, {ROLE_CORE})
    asyncio.run(_run())


async def _run() -> None:
    async with (
        stage() as place,
        desk(
            place.database_url,
            place.identity.encryption_keys,
            pages=_PAGES,
            conversations_each=_CONVERSATIONS,
        ) as full,
    ):
        for n in range(_MESSAGES):
            await full.accept(str(n))
        seconds, cpu, events = await _publish_all(place)
    record("relay.events_per_second", events / seconds, "1/s")
    record("relay.cpu_per_event", cpu / events * 1e6, "µs")


async def _publish_all(place: Stage) -> tuple[float, float, int]:
    environment = {name.lower(): value for name, value in place.environment.items()}
    settings = Settings.model_validate(environment)
    engine = create_engine(
        place.database_url, pool_size=2, max_overflow=0, application_name="bench-relay"
    )
    keyring = KeyRing.from_text(place.identity.encryption_keys)
    database = Database(engine, clock=SystemClock(), keyring=keyring)
    connection = KafkaConnection.from_settings(settings)
    topics = Topics(
        connection,
        TopicRules.from_settings(settings),
        RecordedPartitions(database),
        names=topic_names.ALL,
    )
    producer = KafkaProducer(connection, topics, max_message_bytes=settings.kafka_max_message_bytes)
    relay = Relay(database, producer, cast("ShardLeases", _AllShards()))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(producer.run())
        while not producer.reachable:  # noqa: ASYNC110 - the producer tells nobody
            await asyncio.sleep(0.05)
        began, cpu = time.monotonic(), time.process_time()
        events = await relay.publish()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        running.cancel()
    await producer.stop()
    await engine.dispose()
    return seconds, cpu, events
