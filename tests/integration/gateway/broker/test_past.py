"""What a topic has of a time is read to the end that it had, and by nobody's group."""

from datetime import timedelta

import pytest
from tests.contract.test_broker import TOPIC, WRITTEN_AT, Kafka, new, running

from gateway.broker.connection import KafkaConnection
from gateway.broker.past import TopicUnreadableError, read_past

HOUR = timedelta(hours=1)
# Kafka refuses what is dated more than an hour ahead.
FIRST_AT = WRITTEN_AT - 3 * HOUR


async def _values(kafka, *, since, until, topic=TOPIC):
    values = []
    async for records in read_past(kafka.connection, topic, since=since, until=until):
        values += [(record.partition, record.value) for record in records]
    return sorted(values)


async def test_records_of_a_time_are_read_to_the_end(kafka_bootstrap):
    kafka = Kafka(kafka_bootstrap)
    producer = kafka.producer()
    async with running(producer):
        for n in range(3):
            at = FIRST_AT + n * HOUR
            records = [
                new(b"key", f"{n}-{partition}".encode(), partition=partition)._replace(timestamp=at)
                for partition in (0, 1)
            ]
            await producer.produce_all(records)
        everything = [(p, f"{n}-{p}".encode()) for p in (0, 1) for n in range(3)]
        past = FIRST_AT - HOUR, WRITTEN_AT + 9 * HOUR
        assert await _values(kafka, since=past[0], until=past[1]) == everything
        middle = await _values(kafka, since=FIRST_AT + HOUR, until=FIRST_AT + 2 * HOUR)
        assert middle == [(0, b"1-0"), (1, b"1-1")]
        assert await _values(kafka, since=past[1], until=past[1] + HOUR) == []
        assert await _values(kafka, since=past[0], until=past[1], topic="nobody.s.topic") == []


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
async def test_a_kafka_that_is_away_is_said():
    connection = KafkaConnection(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(TopicUnreadableError):
        async for _ in read_past(connection, TOPIC, since=WRITTEN_AT, until=WRITTEN_AT):
            pass
