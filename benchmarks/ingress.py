"""The ingress at full load, beside a bare application that only checks the signature.

Both run on core 0, by turns, so that a drift of the machine's speed meets both; the load, the
broker and the database are on core 1. 64 connections, each with one request at a time, on one
worker. Every webhook of the ingress holds one new message, and its 200 says that the broker has it.
"""

import asyncio
from statistics import median
from typing import Final

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import record
from benchmarks.stage import Broker, Role, Stage, mebibytes, peak_mebibytes, prefix_of, stage
from benchmarks.targets import Round, Target, Targets
from gateway.contracts.topics import INBOUND
from gateway.domain import ids
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.kafka_jars import find_program

_ROUNDS: Final = 5
_SECONDS: Final = 3
_SHORT_SECONDS: Final = 2
_CHANNELS: Final = 10_000
_CHANNEL_ROUNDS: Final = 5
# The ingress asks for news of its secrets every two seconds, and then reads them.
_RELOAD_SECONDS: Final = 6.0


def main() -> None:
    """Measure on the embedded broker, then on Apache Kafka where Java and Maven are there."""
    asyncio.run(_measure("noida", "ingress"))
    try:
        find_program("java")
        find_program("mvn")
    except EmbeddedError as error:
        print(f"Not measured on Apache Kafka: {error}")
    else:
        asyncio.run(_measure("apache", prefix_of("ingress", "apache")))


async def _measure(broker: Broker, prefix: str) -> None:
    async with stage(broker=broker) as here:
        targets = Targets(here)
        parser = "zttp"
        if broker == "noida":
            parser = await _faster_parser(targets)
            await _show_what_load_there_can_be(targets)
        async with targets.bare(parser) as bare, here.role("api") as role:
            ours = await register(here, role)
            await _compare(targets, bare, ours, prefix)
            await _count(here, role, prefix)
            record(f"{prefix}.memory.peak", peak_mebibytes(role.pid), "MiB")
            if broker == "noida":
                await _add_channels(targets, role, ours)


async def _faster_parser(targets: Targets) -> str:
    """Record the CPU time of uvicorn's two fast parsers, and return the one that takes less."""
    spent: dict[str, list[float]] = {"zttp": [], "httptools": []}
    for parser in ("zttp", "httptools", "httptools", "zttp"):
        async with targets.bare(parser) as bare:
            requests = targets.requests(_SHORT_SECONDS)
            found = await targets.round(bare, requests, seconds=_SHORT_SECONDS)
        spent[parser].append(found.cpu)
    for parser, rounds in spent.items():
        record(f"ingress.bare.cpu_with_{parser}", median(rounds), "µs")
    return min(spent, key=lambda parser: median(spent[parser]))


async def _show_what_load_there_can_be(targets: Targets) -> None:
    async with targets.bare("none") as echo:
        requests = targets.requests(_SHORT_SECONDS)
        found = await targets.round(echo, requests, seconds=_SHORT_SECONDS)
    record("ingress.generator.requests_per_second", found.load.rate, "1/s")


async def register(here: Stage, role: Role) -> Target:
    """Tell the gateway of the Meta app that signs the load."""
    app = here.identity
    async with httpx.AsyncClient(trust_env=False, base_url=role.url) as client:
        answer = await client.post(
            "/v1/meta-apps",
            headers={"Authorization": f"Bearer {app.admin_key}"},
            json={
                "app_id": app.app_id,
                "name": "Load",
                "app_secrets": [app.app_secret],
                "verify_token": app.verify_token,
            },
        )
    answer.raise_for_status()
    return Target(pid=role.pid, url=f"{role.url}/webhooks/meta/{app.app_id}")


async def _compare(targets: Targets, bare: Target, ours: Target, prefix: str) -> None:
    for target in (bare, ours):
        await targets.round(target, targets.requests(_SHORT_SECONDS), seconds=_SHORT_SECONDS)
    pairs: list[tuple[Round, Round]] = []
    for _ in range(_ROUNDS):
        first = await targets.round(bare, targets.requests(_SECONDS), seconds=_SECONDS)
        second = await targets.round(ours, targets.requests(_SECONDS), seconds=_SECONDS)
        pairs.append((first, second))
    for name, rounds in zip(("bare", "ours"), zip(*pairs, strict=True), strict=True):
        rate = median(each.load.rate for each in rounds)
        record(f"{prefix}.{name}.requests_per_second", rate, "1/s")
        record(f"{prefix}.{name}.p50", median(each.load.p50 for each in rounds), "ms")
        record(f"{prefix}.{name}.p99", median(each.load.p99 for each in rounds), "ms")
        record(f"{prefix}.{name}.cpu", median(each.cpu for each in rounds), "µs")
        record(f"{prefix}.{name}.core_1_busy", median(each.core_1 for each in rounds), "ratio")
    record(f"{prefix}.ours.p99_of_the_worst_round", max(b.load.p99 for _, b in pairs), "ms")
    record(f"{prefix}.ours.cpu_of_the_broker", median(b.broker_cpu for _, b in pairs), "µs")
    throughput = median(b.load.rate / a.load.rate for a, b in pairs)
    record(f"{prefix}.ratio.throughput", throughput, "ratio")
    record(f"{prefix}.ratio.cpu", median(a.cpu / b.cpu for a, b in pairs), "ratio")


async def _count(here: Stage, role: Role, prefix: str) -> None:
    """Compare what was answered with what the topic holds."""
    answered = await _answered_with_200(role)
    records, distinct = await _read_topic(here)
    record(f"{prefix}.answered_with_200", answered, "webhooks")
    record(f"{prefix}.records", records, "records")
    record(f"{prefix}.distinct_records", distinct, "records")
    # What wrk gives up at the end of a round may just have been stored, and is answered later.
    if not distinct == records == answered:
        raise RuntimeError("What was answered with 200 is not what the topic holds.")


async def _answered_with_200(role: Role) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{role.ops_url}/metrics")).text
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gateway_ingress_requests_total" and sample.labels["answer"] == "ok"
    )


async def _read_topic(here: Stage) -> tuple[int, int]:
    """Return how many records the inbound topic holds, and how many ids of events."""
    consumer = AIOKafkaConsumer(bootstrap_servers=here.bootstrap_servers)
    await consumer.start()
    try:
        places = [TopicPartition(INBOUND, number) for number in range(here.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        seen: list[bytes] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                seen += [dict(each.headers)["ce_id"] for each in batch]
    finally:
        await consumer.stop()
    return len(seen), len(set(seen))


async def _add_channels(targets: Targets, role: Role, ours: Target) -> None:
    """Compare webhooks of 10,000 Pages with those of one, beside 10,000 third-party channels.

    Either are of as many conversations, since the first record of each costs more.
    """
    before = mebibytes(role.pid)
    await _insert_channels(targets.here)
    await asyncio.sleep(_RELOAD_SECONDS)
    pages = [str(10**14 + n) for n in range(_CHANNELS)]
    pairs: list[tuple[Round, Round]] = []
    for _ in range(_CHANNEL_ROUNDS):
        one = targets.requests(_SECONDS, contacts=_CHANNELS)
        many = targets.requests(_SECONDS, pages=pages)
        first = await targets.round(ours, one, seconds=_SECONDS)
        second = await targets.round(ours, many, seconds=_SECONDS)
        pairs.append((first, second))
    record("ingress.channels.memory_more", mebibytes(role.pid) - before, "MiB")
    record("ingress.channels.p50_of_one", median(a.load.p50 for a, _ in pairs), "ms")
    record("ingress.channels.p50_of_all", median(b.load.p50 for _, b in pairs), "ms")
    record("ingress.channels.ratio.cpu", median(b.cpu / a.cpu for a, b in pairs), "ratio")


async def _insert_channels(here: Stage) -> None:
    address = here.database_url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(address)
    account = ids.new_id(ids.ACCOUNT)
    channels = [ids.new_id(ids.CHANNEL) for _ in range(_CHANNELS)]
    try:
        await connection.execute(
            """
            INSERT INTO accounts (id, name, created_at, updated_at)
            VALUES ($1, 'Load', now(), now())
            """,
            account,
        )
        await connection.execute(
            """
            INSERT INTO channels (
                account_id, id, kind, name, status, source_id, incoming_token_hash,
                connected_at, created_at, updated_at
            )
            SELECT $1, id, 'third_party', 'Load', 'active', id, sha256(id::bytea),
                   now(), now(), now()
            FROM unnest($2::text[]) AS id
            """,
            account,
            channels,
        )
        await connection.execute("UPDATE secret_versions SET version = version + 1")
    finally:
        await connection.close()
