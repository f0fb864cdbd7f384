"""Everything that can be seen of a gateway from outside: its database, its topics, the sandbox.

Plain values, so that a history can be altered by hand and checked again.
"""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.faults.deployment import Deployment
from tests.faults.journal import Journal

from gateway.contracts.topics import CONVERSATIONS, INBOUND

_READ_MILLISECONDS = 1_000
Row = dict[str, Any]

# All of one moment: the checks compare tables with one another.
_QUERIES = {
    "messages": """
        SELECT m.id, m.account_id, m.channel_id, m.conversation_id, m.sequence, m.direction,
               m.author_kind, m.status, m.error->>'code' AS error, m.client_reference,
               m.possibly_duplicate, m.source_message_id, m.accepted_at, m.sent_at, m.delivered_at,
               m.read_at, c.kind AS channel_kind
        FROM messages m JOIN channels c ON c.id = m.channel_id
        WHERE m.account_id = ANY($1)""",
    "deliveries": """
        SELECT id, message_id, kind, target_kind, status, attempt, holds_lane, due_at, held_at
        FROM deliveries WHERE account_id = ANY($1)""",
    "events": """
        SELECT id, account_id, conversation_id, enquiry_id, type, key, sequence, position,
               data #>> '{message,id}' AS message_id, data #>> '{message,status}' AS message_status,
               data #>> '{enquiry,status}' AS enquiry_status
        FROM events WHERE account_id = ANY($1) ORDER BY key, sequence""",
    "enquiries": """
        SELECT id, conversation_id, status, agent_id, handled_by, accepted_at, closed_at, missed_at,
               queued_at FROM enquiries WHERE account_id = ANY($1)""",
    "conversations": "SELECT id, next_seq FROM conversations WHERE account_id = ANY($1)",
    "feed_counters": "SELECT account_id, next_position FROM feed_counters WHERE account_id=ANY($1)",
}
_QUERIES_OF_ALL = {
    "inbox": "SELECT event_id FROM inbox",
    "parked": "SELECT event_id FROM parked",
    "dead_letters": """
        SELECT id, reason, stage, record_headers->>'ce_id' AS event_id, published_at
        FROM dead_letters""",
    "partitions": "SELECT partition, next_offset FROM partition_owners",
}

# Where an event of the inbound topic can have ended.
_ACCOUNTED = ("inbox", "parked", "dead_letters")


@dataclass
class Evidence:
    """Rows as dictionaries, by table; records of both topics in the order of their partitions.

    `inbound` records have `partition`, `offset`, `key`, `id`, `type` and `mid`; `published` ones
    `partition`, `offset`, `key`, `id`, `type` and `sequence`. `unsettled` says what was still under
    way when the evidence was taken.
    """

    journal: Journal
    inbound: list[Row]
    published: list[Row]
    tables: dict[str, list[Row]]
    unsettled: list[str] = field(default_factory=list)

    def of(self, table: str) -> list[Row]:
        return self.tables[table]

    def keep(self, file: Path) -> None:
        """Write everything down for who wants to know more than a verdict says."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def load(cls, file: Path) -> Self:
        """Return what was kept, moments as text; it can be judged as it could then."""
        kept = json.loads(file.read_text())
        return cls(**{**kept, "journal": Journal(**kept["journal"])})


async def take_evidence(
    deployment: Deployment, account_ids: Iterable[str], journal: Journal | None = None
) -> Evidence:
    """Read everything about these accounts.

    A timer may run out at any moment: of what was written since the tables were read, only that is
    told which they know of.
    """
    journal = Journal([]) if journal is None else journal
    async with httpx.AsyncClient(
        base_url=deployment.sandbox_url, timeout=30, trust_env=False
    ) as sandbox:
        await journal.read(sandbox)
    bootstrap = deployment.kafka_bootstrap_servers
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        ends = {topic: await end_offsets(consumer, topic) for topic in (INBOUND, CONVERSATIONS)}
    connection = await asyncpg.connect(deployment.postgres_dsn)
    try:
        tables = await take_tables(connection, account_ids)
    finally:
        await connection.close()
    inbound = [_inbound(record) for record in await read_topic(bootstrap, INBOUND)]
    published = [_published(record) for record in await read_topic(bootstrap, CONVERSATIONS)]
    effects = {row["event_id"] for name in _ACCOUNTED for row in tables[name]}
    return Evidence(
        journal=journal,
        inbound=_since_known(inbound, ends[INBOUND], effects),
        published=_since_known(
            published, ends[CONVERSATIONS], {row["id"] for row in tables["events"]}
        ),
        tables=tables,
    )


def _since_known(records: list[Row], ends: dict[int, int], known: AbstractSet[str]) -> list[Row]:
    return [
        record
        for record in records
        if record["offset"] < ends.get(record["partition"], 0) or record["id"] in known
    ]


async def take_tables(
    connection: asyncpg.Connection, account_ids: Iterable[str]
) -> dict[str, list[Row]]:
    """Read all tables about these accounts, as they stand at one moment."""
    tables: dict[str, list[Row]] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name, query in _QUERIES.items():
            tables[name] = [dict(row) for row in await connection.fetch(query, list(account_ids))]
        for name, query in _QUERIES_OF_ALL.items():
            tables[name] = [dict(row) for row in await connection.fetch(query)]
    return tables


async def read_topic(bootstrap: str, topic: str) -> list[Any]:
    """Return every record of a topic, partition after partition."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_poll_records=2_000
    ) as consumer:
        partitions = await _partitions(consumer, topic)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        records = []
        for partition in partitions:
            # One after the other: what is not asked for yet is not thrown away either.
            consumer.pause(*[each for each in partitions if each != partition])
            consumer.resume(partition)
            while await consumer.position(partition) < ends[partition]:
                got = await consumer.getmany(partition, timeout_ms=_READ_MILLISECONDS)
                for batch in got.values():
                    records += [each for each in batch if each.offset < ends[partition]]
        return records


async def end_offsets(consumer: AIOKafkaConsumer, topic: str) -> dict[int, int]:
    """Return where the partitions of a topic end, by number."""
    partitions = await _partitions(consumer, topic)
    ends = await consumer.end_offsets(partitions)
    return {place.partition: end for place, end in ends.items()}


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.force_metadata_update()
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        await consumer._client.add_topic(topic)
        numbers = consumer.partitions_for_topic(topic)
    return [TopicPartition(topic, number) for number in sorted(numbers or ())]


def _headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def _inbound(record: Any) -> Row:
    headers, value = _headers(record), json.loads(record.value)
    said = value.get("message") or {}
    return {
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.decode(),
        "id": headers["ce_id"],
        "type": headers["ce_type"],
        "source": value["source_id"],
        "contact": value["contact_id"],
        "mid": said.get("id"),
    }


def _published(record: Any) -> Row:
    headers = _headers(record)
    return {
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.decode(),
        "id": headers["ce_id"],
        "type": headers["ce_type"],
        "sequence": int(headers["ce_sequence"]),
    }
