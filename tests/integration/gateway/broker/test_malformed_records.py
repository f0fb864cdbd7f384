"""What a broker takes and aiokafka cannot decode stops nobody."""

import pytest
from aiokafka import AIOKafkaProducer
from tests.contract.test_broker import TOPIC, WRITTEN_AT, Handler, Kafka, new, running
from tests.support.malformed_records import batch_with_bad_name, write_batch

from gateway.contracts.envelope import UndecodableRecordError, from_headers


async def test_a_header_name_that_is_not_text_stops_no_partition(kafka_bootstrap):
    handler = Handler()
    kafka = Kafka(kafka_bootstrap)
    producer, consumer = kafka.producer(), kafka.consumer(handler, topic=TOPIC)
    batch = batch_with_bad_name(
        [b"2", b"bad", b"3"], bad=1, at=round(WRITTEN_AT.timestamp() * 1000)
    )
    async with running(producer, consumer):
        await producer.produce_all([new(b"key", b"1", partition=0)])
        await write_batch(kafka_bootstrap, TOPIC, 0, batch)
        await producer.produce_all([new(b"key", b"4", partition=0)])
        await producer.produce_all([new(b"key", b"5", partition=1)])
        await handler.until(lambda: len(handler.values()) == 6)
    assert [record.value for record in handler.handled[0]] == [b"1", b"2", b"bad", b"3", b"4"]
    assert handler.claims.count(0) == 1
    # Nobody takes it for an event.
    with pytest.raises(UndecodableRecordError, match="header-not-text"):
        from_headers(handler.handled[0][2].headers)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_others_compressed_is_read(kafka_bootstrap, compression):
    handler = Handler()
    kafka = Kafka(kafka_bootstrap)
    await kafka.topics.ensure()
    async with running(kafka.consumer(handler, topic=TOPIC)):
        async with AIOKafkaProducer(
            bootstrap_servers=kafka_bootstrap, compression_type=compression
        ) as other:
            await other.send_and_wait(TOPIC, b"value" * 100, partition=2)
        await handler.until(lambda: handler.values() == [b"value" * 100])
