"""Makes the topics that are missing, and holds on to how many partitions they had then.

The partition of a key is murmur2 of the key modulo that number. It is on record in PostgreSQL, so
that a topic which somebody grows later does not reorder a conversation.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from gateway.broker.connection import KafkaConnection
from gateway.settings import Settings

SAFE_REPLICATION: Final = 3
SAFE_IN_SYNC: Final = 2

_MIN_IN_SYNC: Final = "min.insync.replicas"
_UNCLEAN: Final = "unclean.leader.election.enable"
_ENSURE_SECONDS: Final = 30
_APPEAR_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 2
_WAY_OUT: Final = (
    "Raise it, or set KAFKA_ALLOW_LOW_REPLICATION=true if losing acknowledged messages when one"
    " broker fails is acceptable."
)

log = structlog.get_logger()


class TopicsRefusedError(Exception):
    """The topics are not fit for use; the message tells an operator what to change."""


class PartitionRecords(Protocol):
    """Where the counts are on record."""

    async def find(self, topic: str) -> int | None:
        """Return the count on record, or None."""
        ...

    async def record(self, topic: str, partitions: int) -> int:
        """Put a count on record; return it, or the one that was put there first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRules:
    """How topics are made, and what is asked of those that exist."""

    partitions: int
    replication: int
    min_insync_replicas: int
    retention_hours: int
    max_message_bytes: int
    must_be_safe: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take what the environment says."""
        in_production = settings.environment == "production"
        return cls(
            partitions=settings.kafka_partitions,
            replication=settings.kafka_replication,
            min_insync_replicas=settings.kafka_min_insync_replicas,
            retention_hours=settings.kafka_retention_hours,
            max_message_bytes=settings.kafka_max_message_bytes,
            must_be_safe=in_production and not settings.kafka_allow_low_replication,
        )

    def within(self, brokers: int) -> Self:
        """Return what so many brokers can keep of these rules, where that may be less."""
        if self.must_be_safe or self.replication <= brokers:
            return self
        return replace(
            self,
            replication=brokers,
            # One copy fewer than there are, so that one broker may be away.
            min_insync_replicas=min(self.min_insync_replicas, max(1, brokers - 1)),
        )

    def new_topic(self, name: str) -> NewTopic:
        """Return the request for a topic."""
        return NewTopic(
            name,
            self.partitions,
            self.replication,
            topic_configs={
                "cleanup.policy": "delete",
                "max.message.bytes": str(self.max_message_bytes),
                _MIN_IN_SYNC: str(self.min_insync_replicas),
                "retention.ms": str(self.retention_hours * 3_600_000),
                _UNCLEAN: "false",
            },
        )


class Topics:
    """The topics of this gateway."""

    def __init__(
        self,
        connection: KafkaConnection,
        rules: TopicRules,
        records: PartitionRecords,
        *,
        names: Iterable[str],
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._records = records
        self._names = tuple(names)
        self._counts: Mapping[str, int] | None = None
        self._lock = asyncio.Lock()

    @property
    def known(self) -> Mapping[str, int] | None:
        """The recorded partition counts, once `ensure` has returned; None before."""
        return self._counts

    async def ensure(self) -> Mapping[str, int]:
        """Return the recorded partition count of each topic, once all exist and are fit for use.

        The work is done once a process.

        Raises:
            TopicsRefusedError: A topic must not be used as it is.
            Exception: The broker or the database cannot be reached now; try again.
        """
        async with self._lock:
            if self._counts is None:
                async with asyncio.timeout(_ENSURE_SECONDS):
                    self._counts = await self._ensure()
            return self._counts

    async def _ensure(self) -> Mapping[str, int]:
        self._check_rules()
        admin = AIOKafkaAdminClient(**self._connection.arguments("gateway-topics"))
        try:
            await admin.start()
            existing = await _describe(admin, self._names)
            if missing := [name for name in self._names if name not in existing]:
                await self._make(admin, missing)
                existing = await self._appeared(admin)
            await self._check_topics(admin, existing)
        finally:
            await _close(admin)
        return {name: await self._recorded(name, existing[name]) for name in self._names}

    def _check_rules(self) -> None:
        if not self._rules.must_be_safe:
            return
        if self._rules.replication < SAFE_REPLICATION:
            raise TopicsRefusedError(
                f"KAFKA_REPLICATION is {self._rules.replication}; production needs"
                f" {SAFE_REPLICATION}. {_WAY_OUT}"
            )
        if self._rules.min_insync_replicas < SAFE_IN_SYNC:
            raise TopicsRefusedError(
                f"KAFKA_MIN_INSYNC_REPLICAS is {self._rules.min_insync_replicas}; production"
                f" needs {SAFE_IN_SYNC}. {_WAY_OUT}"
            )

    async def _make(self, admin: AIOKafkaAdminClient, names: list[str]) -> None:
        cluster = await admin.describe_cluster()
        rules = self._rules.within(max(1, len(cluster["brokers"])))
        response = await admin.create_topics([rules.new_topic(name) for name in names])
        for name, code, message in response.topic_errors:
            error = for_code(code)
            if code == 0:
                log.info(
                    "topic.made",
                    topic=name,
                    partitions=rules.partitions,
                    replication=rules.replication,
                    min_insync_replicas=rules.min_insync_replicas,
                )
            elif error is not TopicAlreadyExistsError:
                # Another process may have been quicker; anything else needs a person, or time.
                if error.retriable:
                    raise error(message)
                raise TopicsRefusedError(f"Kafka does not make topic {name}: {message or error}")

    async def _appeared(self, admin: AIOKafkaAdminClient) -> dict[str, dict[str, Any]]:
        while True:
            existing = await _describe(admin, self._names)
            if all(name in existing and existing[name]["partitions"] for name in self._names):
                return existing
            await asyncio.sleep(_APPEAR_SECONDS)

    async def _check_topics(
        self, admin: AIOKafkaAdminClient, existing: Mapping[str, dict[str, Any]]
    ) -> None:
        """Refuse topics that may lose what was acknowledged, or say so where that is allowed."""
        safe = self._rules.must_be_safe
        replication = SAFE_REPLICATION if safe else self._rules.replication
        in_sync = SAFE_IN_SYNC if safe else self._rules.min_insync_replicas
        settings = await self._settings(admin, existing)
        for name, topic in existing.items():
            replicas = min(len(partition["replicas"]) for partition in topic["partitions"])
            complaints: list[str] = []
            if replicas < replication:
                complaints.append(f"has replication {replicas}; {replication} is needed")
            kept = settings.get(name, {})
            if int(kept.get(_MIN_IN_SYNC, in_sync)) < in_sync:
                complaints.append(f"has {_MIN_IN_SYNC} {kept[_MIN_IN_SYNC]}; {in_sync} is needed")
            if kept.get(_UNCLEAN) == "true":
                complaints.append(f"has {_UNCLEAN} true; false is needed")
            if complaints and safe:
                raise TopicsRefusedError(f"Topic {name} {complaints[0]}. {_WAY_OUT}")
            for complaint in complaints:
                log.warning("topic.may_lose_records", topic=name, complaint=complaint)

    async def _settings(
        self, admin: AIOKafkaAdminClient, names: Iterable[str]
    ) -> dict[str, dict[str, str]]:
        """Return the topics' settings, as far as they may be read."""
        wanted, found = list(names), dict[str, dict[str, str]]()
        while wanted:
            name = wanted[-1]
            resource = ConfigResource(ConfigResourceType.TOPIC, name)
            (response,) = await admin.describe_configs([resource])
            ((code, message, _kind, _name, entries),) = response.resources
            error = for_code(code)
            if code and error.retriable:
                # A topic that was just made is not known to every broker yet.
                await asyncio.sleep(_APPEAR_SECONDS)
                continue
            if code and self._rules.must_be_safe:
                raise TopicsRefusedError(
                    f"The settings of topic {name} cannot be read ({message or error}):"
                    f" {_MIN_IN_SYNC} is unknown. Allow DescribeConfigs. {_WAY_OUT}"
                )
            found[wanted.pop()] = {entry[0]: entry[1] for entry in entries or ()}
        return found

    async def _recorded(self, name: str, topic: Mapping[str, Any]) -> int:
        actual = len(topic["partitions"])
        recorded = await self._records.find(name)
        if recorded is None:
            recorded = await self._records.record(name, actual)
        if recorded > actual:
            raise TopicsRefusedError(
                f"Topic {name} has {actual} partitions, but {recorded} are on record: it was"
                " deleted and made anew. Make it again with at least as many partitions."
            )
        return recorded


async def _describe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    # All topics: asking for one by name may make it.
    described = await admin.describe_topics()
    wanted = set(names)
    return {topic["topic"]: topic for topic in described if topic["topic"] in wanted}


async def _close(admin: AIOKafkaAdminClient) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await admin.close()
    except (TimeoutError, KafkaError) as error:
        log.warning("topics.client_not_closed", error=type(error).__name__)
