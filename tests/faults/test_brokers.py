"""Apache Kafka's brokers die and stand still under the whole gateway (`make test-kafka`).

Two processes of each role on three brokers, people who write and are answered, and at the end the
same comparison as for every other fault. None of ours is started again.
"""

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.faults.checker import check
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.postings import Post
from tests.faults.roles import Stage
from tests.faults.totals import add_run
from tests.faults.traffic import Plan, Traffic
from tests.support.external_kafka import ExternalKafkaTopics
from tests.support.kafka_nodes import KafkaNodes
from tests.support.loop_thread import LoopThread

from gateway.embedded import ApacheCluster

_MANY = 1_000_000
_RECOVERY_SECONDS = 30.0
_LOOK_SECONDS = 0.05
# Past a member's session of eight seconds, and the rebalance after it.
_FREEZE_SECONDS = 20.0
_GOOD = {200, 202}


@pytest.fixture(scope="module")
def brokers_stage(
    apache_kafka: ApacheCluster, external_kafka: ExternalKafkaTopics, loop_thread: LoopThread
) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="gateway-stage-") as name:
        stage = Stage(
            Path(name),
            loop_thread,
            mortal=False,
            settings={"KAFKA_REPLICATION": "3", "KAFKA_MIN_INSYNC_REPLICAS": "2"},
            kafka=apache_kafka.address,
        )
        try:
            stage.start()
            yield stage
        finally:
            stage.stop()
            loop_thread.run(external_kafka.clear())


@pytest.fixture
async def nodes(apache_kafka: ApacheCluster, loop_thread: LoopThread) -> AsyncIterator[KafkaNodes]:
    nodes = KafkaNodes(apache_kafka, loop_thread)
    await nodes.until_whole()
    yield nodes
    await nodes.until_whole()


@dataclass(frozen=True)
class Run:
    deployment: Deployment
    ledger: Ledger
    traffic: Traffic

    def times(self, kind: str, after: float) -> list[float]:
        """Return when webhooks were taken (`answered`) or events told (`heard`) after a moment."""
        return [
            entry["at"]
            for entry in self.ledger.of(kind)
            if entry["at"] > after and (kind == "heard" or entry["status"] in _GOOD)
        ]

    async def first(self, kind: str, after: float) -> float:
        """Wait for the first of these; return how long it took from then on."""
        async with asyncio.timeout(2 * _RECOVERY_SECONDS):
            while not (times := self.times(kind, after)):  # noqa: ASYNC110 - a record rings no bell
                await asyncio.sleep(_LOOK_SECONDS)
        return times[0] - after

    async def served(self, when: str, after: float) -> dict[str, float]:
        """Wait until a webhook was taken and an event told; return how long each took."""
        taken = await self.first("answered", after)
        return {f"taken_{when}": taken, f"told_{when}": await self.first("heard", after)}


@asynccontextmanager
async def people_write(stage: Stage, plan: Plan) -> AsyncIterator[Run]:
    """Let people write for as long as this lasts; none of ours may die meanwhile."""
    async with stage.gateway() as gateway:
        pids = {name: kept.pid for name, kept in stage.processes.items()}
        run_ledger, deployment = Ledger(), Deployment.of(gateway.description)
        traffic = Traffic(deployment, run_ledger, plan)
        await traffic.prepare()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run(webhooks=_MANY, until=over))
            try:
                run = Run(deployment, run_ledger, traffic)
                await run.first("heard", time.time())
                yield run
            finally:
                over.set()
        assert pids == {name: kept.pid for name, kept in stage.processes.items()}


async def refused(run: Run) -> None:
    """Post a webhook that cannot become durable now."""
    async with httpx.AsyncClient(
        base_url=run.deployment.api_url, trust_env=False, timeout=15
    ) as client:
        # What was taken before: should it arrive after all, it is a repeat.
        taken = next(each for each in reversed(run.traffic._taken) if each.good == httpx.codes.OK)
        posting = Post(run.deployment, Ledger(), client).again(taken)
        headers = {**posting.headers, "Content-Type": "application/json"}
        began = time.monotonic()
        answer = await client.post(posting.path, content=posting.body, headers=headers)
        assert time.monotonic() - began < 6
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["type"] == "/problems/not-durable"
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.timeout(420)
async def test_brokers_that_die_in_turn_lose_double_and_reorder_nothing(
    brokers_stage: Stage, nodes: KafkaNodes
) -> None:
    figures: dict[str, float] = {}
    async with people_write(brokers_stage, Plan(contacts=400, accounts=2, rate=50)) as run:
        for number in nodes.numbers:
            run.ledger.note("blow", blow="kill", role="broker", pid=number, in_flight=[])
            await nodes.kill(number)
            figures |= await run.served(f"after_kill_{number}", time.time() + 0.5)
            await nodes.until_whole()
        for number in (1, 2):
            run.ledger.note("blow", blow="kill", role="broker", pid=number, in_flight=[])
        await nodes.kill(1, 2)
        # What two brokers had when they died is answered by now.
        await asyncio.sleep(1)
        dark = time.time()
        await refused(run)
        await asyncio.sleep(3)
        assert run.times("answered", dark) == []
        await nodes.start(1, 2)
        figures |= await run.served("after_return", time.time())
        await nodes.until_whole()
    assert max(figures.values()) < _RECOVERY_SECONDS, figures
    verdict = await check(run.ledger, run.deployment, name="brokers-killed-in-turn")
    verdict.require_clean()
    add_run(
        "brokers-killed-in-turn: seconds",
        {name: round(seconds, 1) for name, seconds in figures.items()},
    )
    assert verdict.totals["webhooks"] > 1_000


@pytest.mark.timeout(420)
async def test_a_member_that_slept_past_its_session_does_nothing_when_it_wakes(
    brokers_stage: Stage, nodes: KafkaNodes
) -> None:
    del nodes
    sleeper = brokers_stage["routing-1"]
    async with people_write(brokers_stage, Plan(contacts=300, accounts=2, rate=40, seed=2)) as run:
        before = await _epochs(run.deployment)
        run.ledger.note("blow", blow="freeze", role="routing", pid=sleeper.pid, in_flight=[])
        sleeper.send(signal.SIGSTOP)
        try:
            async with asyncio.timeout(_FREEZE_SECONDS):
                # The other one takes all of them.
                while not await _all_taken(  # noqa: ASYNC110 - nobody tells
                    run.deployment, before
                ):
                    await asyncio.sleep(_LOOK_SECONDS)
            taken = time.time()
            await run.first("heard", taken)
        finally:
            sleeper.send(signal.SIGCONT)
        thawed = time.time()
        await brokers_stage.until_ready("routing-1")
        await run.first("heard", thawed + 10)
    verdict = await check(run.ledger, run.deployment, name="routing-slept-past-its-session")
    verdict.require_clean()


async def _all_taken(deployment: Deployment, before: dict[int, int]) -> bool:
    now = await _epochs(deployment)
    return all(now[partition] > epoch for partition, epoch in before.items())


async def _epochs(deployment: Deployment) -> dict[int, int]:
    connection = await asyncpg.connect(deployment.postgres_dsn)
    try:
        rows = await connection.fetch("SELECT partition, epoch FROM partition_owners")
    finally:
        await connection.close()
    return {row["partition"]: row["epoch"] for row in rows}
