"""Topics are made once, their partition counts are kept, and unsafe ones are refused."""

import dataclasses

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs
from tests.contract.test_broker import RULES, TOPIC, Kafka, new, running

from gateway.broker.connection import KafkaConnection
from gateway.broker.partitioning import partition_of
from gateway.broker.topics import Topics, TopicsRefusedError
from gateway.clock import SystemClock
from gateway.db.engine import create_engine
from gateway.db.secrets import KeyRing
from gateway.db.topics import RecordedPartitions
from gateway.db.unit_of_work import Database


@pytest.fixture
async def records(database_url):
    engine = create_engine(database_url, pool_size=2, max_overflow=0, application_name="test")
    database = Database(engine, clock=SystemClock(), keyring=KeyRing({"a": bytes(32)}))
    yield RecordedPartitions(database)
    await engine.dispose()


@pytest.fixture
async def admin(kafka_bootstrap):
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await client.start()
    yield client
    await client.close()


def topics(bootstrap, records, **rules):
    connection = KafkaConnection(bootstrap_servers=bootstrap)
    return Topics(
        connection, dataclasses.replace(RULES, **rules), records, names=[TOPIC, "gateway.second.v1"]
    )


async def test_missing_topics_are_made_as_the_rules_say(kafka_bootstrap, records, admin):
    counts = await topics(kafka_bootstrap, records, partitions=3).ensure()
    assert counts == {TOPIC: 3, "gateway.second.v1": 3}
    resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC)
    (answer,) = await admin.describe_configs([resource])
    config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert config["max.message.bytes"] == str(10 * 1024 * 1024)
    assert config["retention.ms"] == str(24 * 3_600_000)
    assert config["unclean.leader.election.enable"] == "false"
    # As many copies as there are brokers, one of which may be away.
    brokers = kafka_bootstrap.count(",") + 1
    assert config["min.insync.replicas"] == str(max(1, brokers - 1))
    for topic in await admin.describe_topics([TOPIC]):
        assert {len(each["replicas"]) for each in topic["partitions"]} == {brokers}


async def test_a_topic_that_existed_is_recorded_as_it_is(kafka_bootstrap, records, admin):
    await admin.create_topics([NewTopic(TOPIC, 7, 1)])
    assert (await topics(kafka_bootstrap, records).ensure())[TOPIC] == 7
    assert await records.find(TOPIC) == 7


async def test_the_first_count_on_record_stays_although_the_topic_grows(
    kafka_bootstrap, records, admin
):
    assert (await topics(kafka_bootstrap, records, partitions=3).ensure())[TOPIC] == 3
    await admin.create_partitions({TOPIC: NewPartitions(total_count=9)})
    assert (await topics(kafka_bootstrap, records, partitions=5).ensure())[TOPIC] == 3
    assert await records.record(TOPIC, 9) == 3


async def test_a_grown_topic_keeps_each_key_where_it_was(kafka_bootstrap, records, admin):
    kafka = Kafka(kafka_bootstrap)
    kafka.topics = topics(kafka_bootstrap, records, partitions=3)
    await kafka.topics.ensure()
    await admin.create_partitions({TOPIC: NewPartitions(total_count=9)})
    producer = kafka.producer()
    async with running(producer):
        keys = [b"key-%d" % n for n in range(40)]
        await producer.produce_all([new(key, b"v") for key in keys])
        ends = {partition_of(key, 3) for key in keys}
        assert {producer._place(new(key, b"v"))[1] for key in keys} == ends == {0, 1, 2}


async def test_a_topic_that_was_made_anew_with_fewer_partitions_is_refused(
    kafka_bootstrap, records
):
    await records.record(TOPIC, 50)
    with pytest.raises(TopicsRefusedError, match="50 are on record"):
        await topics(kafka_bootstrap, records).ensure()


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"replication": 2, "min_insync_replicas": 2}, "KAFKA_REPLICATION is 2"),
        ({"replication": 3, "min_insync_replicas": 1}, "KAFKA_MIN_INSYNC_REPLICAS is 1"),
    ],
)
async def test_production_refuses_unsafe_settings(kafka_bootstrap, records, rules, complaint):
    with pytest.raises(TopicsRefusedError, match=complaint):
        await topics(kafka_bootstrap, records, must_be_safe=True, **rules).ensure()


SAFE = {"replication": 3, "min_insync_replicas": 2, "must_be_safe": True}


async def test_production_refuses_a_topic_with_too_few_copies(kafka_bootstrap, records):
    await topics(kafka_bootstrap, records, replication=1, min_insync_replicas=1).ensure()
    with pytest.raises(TopicsRefusedError, match="has replication 1"):
        await topics(kafka_bootstrap, records, **SAFE).ensure()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")],
)
async def test_production_refuses_a_topic_that_may_lose_what_was_acknowledged(
    kafka_bootstrap, records, admin, setting, value
):
    if "," not in kafka_bootstrap:
        pytest.skip("needs three brokers; `make test-kafka` runs it")
    settings = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
    await admin.create_topics([NewTopic(TOPIC, 2, 3, topic_configs={**settings, setting: value})])
    with pytest.raises(TopicsRefusedError, match=f"has {setting} {value}"):
        await topics(kafka_bootstrap, records, **SAFE).ensure()


async def test_production_takes_topics_that_lose_nothing(kafka_bootstrap, records):
    if "," not in kafka_bootstrap:
        pytest.skip("needs three brokers; `make test-kafka` runs it")
    await topics(kafka_bootstrap, records, **SAFE).ensure()


async def test_weaker_topics_are_named_where_they_are_allowed(kafka_bootstrap, records):
    await topics(kafka_bootstrap, records, replication=1, min_insync_replicas=1).ensure()
    with capture_logs() as logs:
        await topics(kafka_bootstrap, records, replication=3, min_insync_replicas=2).ensure()
    complaints = {line["complaint"] for line in logs if line["event"] == "topic.may_lose_records"}
    assert complaints == {
        "has replication 1; 3 is needed",
        "has min.insync.replicas 1; 2 is needed",
    }


async def test_brokers_that_are_too_few_for_production_say_so(kafka_bootstrap, records):
    with pytest.raises(TopicsRefusedError, match="Kafka does not make topic"):
        await topics(kafka_bootstrap, records, **{**SAFE, "replication": 4}).ensure()
