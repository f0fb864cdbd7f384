"""Three Apache Kafka brokers of which some die, freeze or fill their disk (`make test-kafka`).

Whoever writes tries again until there is an acknowledgement, as Meta does; whoever reads drops
repeats by number, as the inbox does.
"""

import asyncio
import shutil
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from tests.contract.test_broker import TOPIC, Handler, Kafka, new, running
from tests.faults.totals import add_run
from tests.support.kafka_nodes import KafkaNodes

from gateway.errors import NotDurableError

pytestmark = pytest.mark.timeout(300)

_KEYS = 24
_PRODUCE_SECONDS = 4.0
# The time that a broker's death may cost, from the design's own numbers.
_RECOVERY_SECONDS = 30.0


@pytest.fixture
async def nodes(apache_kafka, loop_thread, kafka_bootstrap):
    nodes = KafkaNodes(apache_kafka, loop_thread)
    assert nodes.address == kafka_bootstrap
    await nodes.until_whole()
    yield nodes
    await nodes.until_whole()


@dataclass
class Writing:
    """Each key's numbers from 0, one after the other, each until it is acknowledged."""

    producer: Any
    acknowledged: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    attempts: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    answered_at: list[float] = field(default_factory=list)
    slowest_refusal: float = 0.0
    longest_stall: float = 0.0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    over: bool = False

    async def write(self, key):
        while not self.over:
            number = self.acknowledged[key]
            self.attempts[key, number] += 1
            began = time.monotonic()
            try:
                await self.producer.produce_all([new(key, b"%d" % number)])
            except NotDurableError:
                self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - began)
                await asyncio.sleep(0.05)
            else:
                self.acknowledged[key] += 1
                self.answered_at.append(time.monotonic())
                async with self.changed:
                    self.changed.notify_all()
                await asyncio.sleep(0.005)

    async def watch_the_loop(self):
        """See how long this very process kept everybody waiting, on a busy machine."""
        while not self.over:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            self.longest_stall = max(self.longest_stall, time.monotonic() - began)

    async def until(self, condition):
        async with asyncio.timeout(90), self.changed:
            await self.changed.wait_for(condition)

    async def until_answered(self, after):
        """Return when the first acknowledgement came after a moment."""
        await self.until(lambda: self.answered_at and self.answered_at[-1] > after)
        return next(at for at in self.answered_at if at > after)

    def require_all_at(self, handler, name, **figures):
        """Compare with what was read: all that was acknowledged, in order, no more than tried."""
        seen = defaultdict(list)
        for records in handler.handled.values():
            for record in records:
                seen[record.key].append(int(record.value))
        for key, count in self.acknowledged.items():
            first = list(dict.fromkeys(seen[key]))
            assert first == sorted(first), f"{key} is out of order"
            # The one after the last may have arrived without anybody knowing.
            assert first[:count] == list(range(count)), f"{key} has lost some"
            assert len(first) <= count + 1
            for number in first:
                assert seen[key].count(number) <= self.attempts[key, number]
        assert self.slowest_refusal - self.longest_stall < _PRODUCE_SECONDS + 1
        add_run(
            f"brokers: {name}",
            {
                "acknowledged": sum(self.acknowledged.values()),
                "refused": sum(self.attempts.values()) - sum(self.acknowledged.values()),
                **dict.fromkeys(("lost", "doubled", "inversions"), 0),
                **{figure: round(value, 1) for figure, value in figures.items()},
            },
        )


@asynccontextmanager
async def writing(producer):
    run = Writing(producer)
    async with asyncio.TaskGroup() as group:
        for n in range(_KEYS):
            group.create_task(run.write(b"key-%d" % n))
        group.create_task(run.watch_the_loop())
        try:
            yield run
        finally:
            run.over = True


async def read_all(run, *handlers):
    """Wait until handlers have seen every record that was acknowledged, whatever else they saw."""
    acknowledged = {
        (key, b"%d" % n) for key, count in run.acknowledged.items() for n in range(count)
    }

    def seen():
        every = (records for handler in handlers for records in handler.handled.values())
        return {(record.key, record.value) for records in every for record in records}

    # What others handle the last of them sees when it is told that it has caught up.
    async with asyncio.timeout(60), handlers[-1].changed:
        await handlers[-1].changed.wait_for(lambda: seen() >= acknowledged)


@asynccontextmanager
async def written_and_read(nodes, handler):
    """Let a producer write and a consumer read meanwhile, and in the end until all was read."""
    kafka = Kafka(nodes.address)
    producer = kafka.producer()
    async with running(producer, kafka.consumer(handler, topic=TOPIC)):
        async with writing(producer) as run:
            await run.until_answered(time.monotonic())
            yield run
        await read_all(run, handler)


async def first_signs(run, handler, since, *, after=0.0):
    """Return how long the first acknowledgement and the first effect took.

    Those of the first `after` seconds do not count: they may be of what was under way.
    """
    acknowledged = await run.until_answered(since + after) - since
    handled = len(handler.values())
    await handler.until(lambda: len(handler.values()) > handled)
    seconds = {"acknowledged_after": acknowledged, "first_effect": time.monotonic() - since}
    assert max(seconds.values()) < _RECOVERY_SECONDS
    return seconds


async def every_key_served(run, since):
    """Return how long it took until each key went on, whoever leads its partition now."""
    aim = {key: count + 5 for key, count in run.acknowledged.items()}
    await run.until(lambda: all(run.acknowledged[key] >= aim[key] for key in aim))
    served = time.monotonic() - since
    assert served < _RECOVERY_SECONDS
    return {"acknowledged_after": served}


async def test_with_two_of_three_down_nothing_is_acknowledged_that_is_lost(nodes):
    handler = Handler()
    async with written_and_read(nodes, handler) as run:
        await nodes.kill(1, 2)
        # What was on two brokers when they died is acknowledged by now.
        await asyncio.sleep(1)
        dark = len(run.answered_at)
        began = time.monotonic()
        with pytest.raises(NotDurableError) as refusal:
            await run.producer.produce_all([new(b"other", b"0")])
        assert time.monotonic() - began < _PRODUCE_SECONDS + 1.5
        assert refusal.value.retry_after is not None
        await asyncio.sleep(12)
        assert len(run.answered_at) == dark
        await nodes.start(1, 2)
        seconds = await first_signs(run, handler, time.monotonic())
    run.require_all_at(handler, "two of three down", **seconds)


async def test_all_three_down_and_back_need_no_restart_of_ours(nodes):
    handler = Handler()
    async with written_and_read(nodes, handler) as run:
        await nodes.kill(*nodes.numbers)
        await asyncio.sleep(5)
        await nodes.start(*nodes.numbers)
        seconds = await first_signs(run, handler, time.monotonic())
    run.require_all_at(handler, "all three down", **seconds)


async def test_a_group_goes_on_when_the_leader_that_coordinates_it_is_killed(nodes):
    first, second = Handler(), Handler()
    second.offsets = first.offsets
    kafka = Kafka(nodes.address)
    producer = kafka.producer()
    async with running(producer, kafka.consumer(first, topic=TOPIC)):
        async with writing(producer) as run:
            await first.until(lambda: first.values() != [])
            await nodes.kill(await nodes.coordinator("group"))
            struck = time.monotonic()
            seconds = await first_signs(run, first, struck, after=0.5)
            # Its successor knows the group, and lets another member in.
            async with (
                running(kafka.consumer(second, topic=TOPIC)),
                asyncio.timeout(60),
                second.changed,
            ):
                await second.changed.wait_for(lambda: second.values() != [])
            joined = time.monotonic() - struck
        await read_all(run, second, first)
    both = Handler()
    for handler in (first, second):
        for partition, records in handler.handled.items():
            both.handled[partition] += records
    for records in both.handled.values():
        records.sort(key=lambda record: record.offset)
    run.require_all_at(both, "coordinator killed", **seconds, joined_after=joined)


async def test_a_frozen_broker_costs_seconds_and_does_no_harm_when_it_thaws(nodes):
    handler = Handler()
    async with written_and_read(nodes, handler) as run:
        number = (await nodes.leaders(TOPIC))[0]
        async with nodes.frozen(number):
            # Of the partitions that it led, too: the others took over.
            seconds = await every_key_served(run, time.monotonic())
        thawed = time.monotonic()
        await run.until_answered(thawed + 2)
        await nodes.until_whole()
    run.require_all_at(handler, "one frozen", **seconds)


async def test_a_log_whose_beginning_was_deleted_raises_the_alarm(nodes):
    handler = Handler({0: 2})
    kafka = Kafka(nodes.address)
    producer = kafka.producer()
    async with running(producer):
        await producer.produce_all([new(b"k", b"%d" % n, partition=0) for n in range(6)])
        admin = AIOKafkaAdminClient(bootstrap_servers=nodes.address)
        await admin.start()
        await admin.delete_records({TopicPartition(TOPIC, 0): RecordsToDelete(before_offset=4)})
        await admin.close()
        async with running(kafka.consumer(handler, topic=TOPIC)):
            await handler.until(lambda: len(handler.values()) == 2)
    assert handler.ranges == [(0, 2, 4)]


async def command(*words):
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    return process.returncode, complaint.decode().strip()


async def copy(source, target):
    # Kafka's indices are sparse files of ten megabytes each.
    assert await command("cp", "-a", "--sparse=always", f"{source}/.", str(target)) == (0, "")


@asynccontextmanager
async def small_disk(nodes, number, megabytes):
    """Keep a node's data on a disk of its own for a while; the node is dead before and after."""
    data = nodes[number].kind.data
    kept = data.with_name("data.kept")
    data.rename(kept)
    data.mkdir()
    code, complaint = await command(
        *("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "gateway-test", str(data))
    )
    try:
        if code:
            pytest.skip(f"no file system may be mounted here: {complaint}")
        await copy(kept, data)
        yield data
    finally:
        if nodes[number].pid is not None:
            await nodes.kill(number)
        if code == 0:
            await command("rm", "-r", str(kept))
            kept.mkdir()
            await copy(data, kept)
            await command("umount", str(data))
        data.rmdir()
        kept.rename(data)


async def test_a_broker_whose_disk_is_full_costs_seconds_and_comes_back(nodes):
    handler = Handler()
    async with written_and_read(nodes, handler) as run:
        number = (await nodes.leaders(TOPIC))[0]
        await nodes.end(number)
        async with small_disk(nodes, number, 512) as data:
            await nodes.start(number)
            await nodes.until_whole()
            ballast = data / "ballast"
            free = shutil.disk_usage(data).free
            assert await command("fallocate", "-l", str(free - 65_536), str(ballast)) == (0, "")
            # A broker that cannot write to the only disk it has ends itself.
            await nodes.at_servers(nodes[number].wait())
            seconds = await every_key_served(run, time.monotonic())
            ballast.unlink()
        # Its data is where there is room again.
        await nodes.start(number)
        await nodes.until_whole()
    run.require_all_at(handler, "disk full", **seconds)
