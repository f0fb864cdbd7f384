"""Reads what a topic has of a time, as nobody's group and without moving anybody's offsets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.broker.connection import KafkaConnection
from gateway.broker.legibility import read_everything
from gateway.broker.records import Record

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

_CALL_SECONDS: Final = 30.0
_POLL_MILLISECONDS: Final = 1000
_BATCH: Final = 200


class TopicUnreadableError(Exception):
    """Kafka does not answer, or not as it should."""


async def read_past(
    connection: KafkaConnection, topic: str, *, since: datetime, until: datetime
) -> AsyncIterator[list[Record]]:
    """Give the records of a time in batches, those of a partition in their order.

    What is written while this reads is left out.

    Raises:
        TopicUnreadableError: Kafka does not answer.
    """
    try:
        async for batch in _read_all(connection, topic, since, until):
            yield batch
    except (KafkaError, TimeoutError) as error:
        raise TopicUnreadableError(type(error).__name__) from error


async def _read_all(
    connection: KafkaConnection, topic: str, since: datetime, until: datetime
) -> AsyncIterator[list[Record]]:
    consumer = AIOKafkaConsumer(
        **connection.arguments("gateway-replay"),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A record may be nearly as large as a body.
        max_partition_fetch_bytes=16 * 1024 * 1024,
    )
    read_everything(consumer)
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            await consumer.start()
        left = await _places(consumer, topic, since)
        while left:
            consumer.assign(list(left))
            for partition, (at, _end) in left.items():
                consumer.seek(partition, at)
            async for batch in _read(consumer, left, until):
                yield batch
    finally:
        async with asyncio.timeout(_CALL_SECONDS):
            await consumer.stop()


async def _places(
    consumer: AIOKafkaConsumer, topic: str, since: datetime
) -> dict[TopicPartition, tuple[int, int]]:
    """Return where each partition with something to read begins and ends."""
    async with asyncio.timeout(_CALL_SECONDS):
        # Asks for the topic, which a consumer of nothing does not know yet.
        numbers = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - there is no other way to ask before assigning
        partitions = [
            TopicPartition(topic, each) for each in numbers.partitions_for_topic(topic) or ()
        ]
        moment = _milliseconds(since)
        begins = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
        ends = await consumer.end_offsets(partitions)
    return {
        partition: (begin.offset, ends[partition])
        for partition, begin in begins.items()
        if begin is not None and begin.offset < ends[partition]
    }


async def _read(
    consumer: AIOKafkaConsumer,
    left: dict[TopicPartition, tuple[int, int]],
    until: datetime,
) -> AsyncIterator[list[Record]]:
    """Give batches until a partition has been read to its end; takes such partitions out."""
    latest = _milliseconds(until)
    while True:
        found = await consumer.getmany(timeout_ms=_POLL_MILLISECONDS, max_records=_BATCH)
        wanted: list[Record] = []
        for partition, records in found.items():
            wanted += [_record(each) for each in records if each.timestamp < latest]
            left[partition] = (records[-1].offset + 1, left[partition][1])
        if wanted:
            yield wanted
        done = [each for each, (at, end) in left.items() if at >= end]
        for partition in done:
            del left[partition]
        if done:
            return


def _milliseconds(moment: datetime) -> int:
    """Return a moment as records have it."""
    return round(moment.timestamp() * 1000)


def _record(record: "ConsumerRecord[bytes, bytes]") -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
        timestamp=record.timestamp,
    )
