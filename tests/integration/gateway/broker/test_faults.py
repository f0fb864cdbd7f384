"""Brokers that freeze, die and come back, and clients that lose what keeps them going."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager

import pytest
from tests.contract.test_broker import PARTITIONS, TOPIC, Handler, Kafka, new, running
from tests.support.processes import freeze

from gateway.embedded import Noida, Server
from gateway.embedded.ports import free_port
from gateway.errors import NotDurableError


async def produced(producer, *, within):
    """Return after how many seconds a record was taken."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while True:
            try:
                await producer.produce_all([new(b"key", b"again")])
            except NotDurableError:
                # Refused at once: the next call is a fresh request.
                await asyncio.sleep(0.01)
            else:
                return time.monotonic() - began


@asynccontextmanager
async def working(addresses):
    """Give a producer, a consumer and its handler, through all of which a record has gone."""
    handler = Handler()
    kafka = Kafka(addresses)
    producer, consumer = kafka.producer(), kafka.consumer(handler, topic=TOPIC)
    async with running(producer, consumer):
        await producer.produce_all([new(b"key", b"before")])
        await handler.until(lambda: handler.values() == [b"before"])
        yield producer, consumer, handler


@asynccontextmanager
async def frozen(pid):
    freeze(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_frozen_broker_is_refused_in_time_and_serves_again_when_thawed(own_broker):
    producer = Kafka(own_broker.address).producer()
    async with running(producer):
        await producer.produce_all([new(b"key", b"value")])
        async with frozen(own_broker.pid):
            began = time.monotonic()
            with pytest.raises(NotDurableError) as refusal:
                await producer.produce_all([new(b"key", b"value")])
            assert time.monotonic() - began < 5
            assert refusal.value.retry_after is not None
            # An outage does not pile requests up: most are refused at once from now on.
            began = time.monotonic()
            for _ in range(50):
                with pytest.raises(NotDurableError):
                    await producer.produce_all([new(b"key", b"value")])
            assert time.monotonic() - began < 1
        assert await produced(producer, within=10) < 10


async def test_another_partition_is_tried_while_one_is_stalled(own_broker):
    producer = Kafka(own_broker.address).producer()
    async with running(producer):
        await producer.produce_all([new(b"key", b"value", partition=0)])
        async with frozen(own_broker.pid):
            with pytest.raises(NotDurableError):
                await producer.produce_all([new(b"key", b"value", partition=0)], timeout=0.2)
            began = time.monotonic()
            with pytest.raises(NotDurableError):
                await producer.produce_all([new(b"key", b"value", partition=1)], timeout=0.3)
            assert time.monotonic() - began > 0.25


async def test_a_broker_that_died_and_came_back_is_used_again(own_broker):
    async with working(own_broker.address) as (producer, _consumer, handler):
        # Ended in order: the stand-in may lose its last moments otherwise.
        await own_broker.stop()
        with pytest.raises(NotDurableError):
            await producer.produce_all([new(b"key", b"away")], timeout=0.5)
        await own_broker.start()
        assert await produced(producer, within=20) < 15
        await handler.until(lambda: b"again" in handler.values())


async def test_brokers_that_moved_are_found_through_the_other_addresses(
    own_broker,
):
    other = Server(Noida(own_broker.kind.directory.path), port=free_port())
    addresses = f"{own_broker.address},{other.kind.address(other.port)}"
    async with working(addresses) as (producer, _consumer, handler):
        # The clients know one broker, and it does not come back where it was.
        await own_broker.stop()
        await other.start()
        try:
            assert await produced(producer, within=20) < 15
            await handler.until(lambda: b"again" in handler.values())
        finally:
            await other.stop()


async def test_the_consumer_finds_out_that_the_broker_lost_its_log(own_broker):
    handler = Handler({0: 500})
    consumer = Kafka(own_broker.address).consumer(handler, topic=TOPIC)
    async with running(consumer):
        await handler.until(lambda: (0, 500, 0) in handler.ranges)


async def test_records_are_sent_although_the_sender_task_was_cancelled(own_broker):
    producer = Kafka(own_broker.address).producer()
    async with running(producer):
        await producer.produce_all([new(b"key", b"value")])
        producer._producer._sender.sender_task.cancel()
        await producer.produce_all([new(b"key", b"value")])


async def test_clients_whose_search_for_brokers_ended_are_made_anew(own_broker):
    async with working(own_broker.address) as (producer, consumer, handler):
        clients = producer._producer.client, consumer._consumer._client
        for client in clients:
            client._sync_task.cancel()
        await handler.until(lambda: consumer._consumer and consumer._consumer._client != clients[1])
        await handler.until(lambda: consumer.partitions == frozenset(range(PARTITIONS)))
        assert await produced(producer, within=10) < 5
        assert producer._producer.client != clients[0]
        await handler.until(lambda: b"again" in handler.values())


async def test_a_producer_that_lost_its_sequence_is_made_anew(own_broker):
    producer = Kafka(own_broker.address).producer()
    async with running(producer):
        await producer.produce_all([new(b"key", b"value")])
        first = producer._producer
        sequences = first._txn_manager._sequence_numbers
        for place in sequences:
            sequences[place] += 1000
        await producer.produce_all([new(b"key", b"value")])
        assert producer._producer is not first


async def test_calls_before_the_broker_is_there_wait_for_it(own_broker):
    await own_broker.stop()
    producer = Kafka(own_broker.address).producer()
    async with running(producer):
        with pytest.raises(NotDurableError):
            await producer.produce_all([new(b"key", b"value")], timeout=0.3)
        assert not producer.reachable
        await own_broker.start()
        assert await produced(producer, within=20) < 15
        assert producer.reachable


async def test_stopping_ends_although_the_broker_is_frozen(own_broker):
    handler = Handler()
    kafka = Kafka(own_broker.address)
    producer, consumer = kafka.producer(), kafka.consumer(handler, topic=TOPIC)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run()) for part in (producer, consumer)]
        await producer.produce_all([new(b"key", b"value")])
        await handler.until(lambda: len(handler.claims) == PARTITIONS)
        async with frozen(own_broker.pid):
            with pytest.raises(NotDurableError):
                await producer.produce_all([new(b"key", b"value")], timeout=0.2)
            # Without deadlines of its own each of them would wait for the broker for ever.
            async with asyncio.timeout(30), asyncio.TaskGroup() as stopping:
                stopping.create_task(producer.stop(2.0))
                stopping.create_task(consumer.stop(6.0))
            for task in tasks:
                task.cancel()
