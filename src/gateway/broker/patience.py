"""Keeps a consumer from asking an idle broker thousands of times a second.

A fetch says how long the broker may wait for something to arrive. Some brokers that speak Kafka's
protocol answer at once all the same, and aiokafka asks again at once.
"""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest

_AT_ONCE_SECONDS: Final = 0.01
_PAUSE_SECONDS: Final = 0.02


def be_patient(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer, not yet started, wait a little after an empty answer that came at once."""
    client = consumer._client  # noqa: SLF001 - there is no other place between fetches
    send = client.send

    async def send_patiently(node_id: int, request: Any, **options: Any) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        began = loop.time()
        response = await send(node_id, request, **options)
        if (
            isinstance(request, FetchRequest)
            and loop.time() - began < _AT_ONCE_SECONDS
            and _is_empty(response)
        ):
            await asyncio.sleep(_PAUSE_SECONDS)
        return response

    client.send = send_patiently


def _is_empty(response: Any) -> bool:  # noqa: ANN401 - aiokafka has no types
    # The records are the last field of a partition in every version of the answer.
    return not any(
        partition[-1] for _topic, partitions in response.topics for partition in partitions
    )
