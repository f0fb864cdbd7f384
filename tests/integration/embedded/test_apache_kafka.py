"""`make test-kafka` runs the slow one of these: it starts Apache Kafka twice."""

import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.embedded import ApacheCluster, ApacheKafka, EmbeddedError, Server

pytestmark = pytest.mark.integration

_CACHE = Path(__file__).parents[3] / ".tools" / "kafka"
_TOPIC = "things"
_PARTITION = TopicPartition(_TOPIC, 0)


@pytest.mark.kafka
async def test_what_was_acknowledged_is_there_after_another_start(
    pytestconfig: pytest.Config, server_directory: Path
):
    if not pytestconfig.getoption("--apache-kafka"):
        pytest.skip("`make test-kafka` runs it")
    async with Server(
        ApacheKafka(server_directory / "apache", cache=_CACHE, heap="256m")
    ) as server:
        admin = AIOKafkaAdminClient(bootstrap_servers=server.address)
        await admin.start()
        await admin.create_topics([NewTopic(_TOPIC, 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(
            bootstrap_servers=server.address, enable_idempotence=True, acks="all"
        ) as producer:
            for _ in range(3):
                await producer.send_and_wait(_TOPIC, b"x", partition=0)
    # Formatted once: another object on the same directory finds the same cluster, on a new port.
    async with (
        Server(ApacheKafka(server_directory / "apache", cache=_CACHE, heap="256m")) as again,
        AIOKafkaConsumer(bootstrap_servers=again.address) as consumer,
    ):
        consumer.assign([_PARTITION])
        assert (await consumer.end_offsets([_PARTITION]))[_PARTITION] == 3


def test_nodes_of_a_cluster_that_nobody_owns_any_more_do_not_wait_for_one_another(
    server_directory: Path,
) -> None:
    cluster = ApacheCluster(server_directory / "cluster", cache=_CACHE)
    assert {node.kind.when_we_die for node in cluster.nodes} == {signal.SIGKILL}


async def test_without_java_the_message_says_what_to_install(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(EmbeddedError, match=r"default-jre-headless maven.*`java`"):
        await Server(ApacheKafka(server_directory / "none", cache=server_directory)).start()


async def test_what_maven_says_is_passed_on(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    maven = server_directory / "mvn"
    maven.write_text("#!/bin/sh\necho no such artefact\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _name: str(maven))
    with pytest.raises(EmbeddedError, match="no such artefact"):
        await Server(
            ApacheKafka(server_directory / "none", cache=server_directory / "cache")
        ).start()
    assert not list((server_directory / "cache").iterdir())
