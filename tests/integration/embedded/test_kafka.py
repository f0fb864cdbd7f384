from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.support import misbehave
from tests.support.receiver import Receiver

from gateway.embedded import EmbeddedError, Noida, Server
from gateway.embedded.kafka_metadata import broker_answers
from gateway.embedded.ports import free_port

pytestmark = pytest.mark.integration

_TOPIC = "things"


async def _produce(bootstrap: str) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        sent = await producer.send_and_wait(_TOPIC, b"x", partition=0)
    finally:
        await producer.stop()
    assert sent.topic_partition == TopicPartition(_TOPIC, 0)
    offset: int = sent.offset
    return offset


async def _make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(_TOPIC, 1, 1)])
    finally:
        await admin.close()


async def test_records_outlive_a_stop(server_directory: Path):
    directory = server_directory / "noida"
    server = Server(Noida(directory))
    address = await server.start()
    await _make_topic(address)
    assert await _produce(address) == 0
    await server.stop()
    assert server.pid is None
    assert await server.start() == address
    assert await _produce(address) == 1
    await server.stop()
    assert not (directory / "server.pid").exists()


async def test_a_port_that_is_taken_is_reported(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
):
    kind = Noida(server_directory / "taken")
    monkeypatch.setattr(Noida, "start_seconds", 0.3)
    receiver.always(misbehave.close)
    with pytest.raises(EmbeddedError, match=r"(?s)already in use.*two ways out"):
        await Server(kind, port=receiver.port).start()


async def test_only_a_broker_counts_as_one(receiver: Receiver):
    receiver.always(misbehave.garbage)
    assert not await broker_answers("127.0.0.1", receiver.port, seconds=0.2)
    assert not await broker_answers("127.0.0.1", free_port())


async def test_without_a_wheel_the_message_names_the_two_ways_out(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedError, match=r"--broker apache.*KAFKA_BOOTSTRAP_SERVERS"):
        await Server(Noida(server_directory / "none")).start()
