"""Asks whether Kafka answers, finds brokers that have moved, and tells when a client is blind."""

import asyncio
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

_PATIENCE_SECONDS: Final = 4.0
# Three servers that accept connections and are silent: each is given up after the request's 10 s.
_BOOTSTRAP_SECONDS: Final = 35.0


async def answers(client: AIOKafkaClient) -> bool:
    """Return whether a broker answers.

    A client of aiokafka forgets the brokers that were away when it last asked, and the addresses
    that it was given. When those that are left are away in their turn it would never look further.
    """
    if await _known_broker_answers(client):
        return True
    try:
        async with asyncio.timeout(_BOOTSTRAP_SECONDS):
            await client.bootstrap()
    except (TimeoutError, KafkaError):
        return False
    # It was told about brokers alone, not where partitions are.
    return await _known_broker_answers(client)


async def until_blind(client: AIOKafkaClient) -> None:
    """Return when a client that was started does not look for brokers and leaders any more.

    A private task of aiokafka's does that, and whatever unforeseen it meets ends it for ever:
    uvloop has a RuntimeError where asyncio has an OSError for who writes to a connection that has
    just broken. From then on all that needs to know where a partition is waits without end.
    """
    await asyncio.wait({client._sync_task})  # noqa: SLF001 - aiokafka tells nobody of its end


async def _known_broker_answers(client: AIOKafkaClient) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return bool(await client.force_metadata_update())
    except (TimeoutError, KafkaError):
        return False
