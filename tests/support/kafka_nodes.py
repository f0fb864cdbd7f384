"""The nodes of a cluster in the hands of a test, by number from 1."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError
from tests.support.loop_thread import LoopThread
from tests.support.processes import freeze

from gateway.embedded import ApacheCluster, ApacheKafka, Server

_LOOK_SECONDS: Final = 0.2
# A broker that was killed is let in again when its old session has ended, after nine seconds.
_WHOLE_SECONDS: Final = 90.0


class KafkaNodes:
    """Kills, freezes and brings back nodes, and tells what the cluster makes of it."""

    def __init__(self, cluster: ApacheCluster, servers: LoopThread) -> None:
        self._cluster = cluster
        self._servers = servers
        self._frozen: set[int] = set()

    @property
    def address(self) -> str:
        """Of all nodes."""
        return self._cluster.address

    @property
    def numbers(self) -> list[int]:
        """Of all nodes."""
        return list(range(1, len(self._cluster.nodes) + 1))

    def __getitem__(self, number: int) -> Server[ApacheKafka]:
        """Return the server itself; await its coroutines by `at_servers` alone."""
        return self._cluster.nodes[number - 1]

    async def at_servers(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await something in the loop that the servers were started in."""
        return await asyncio.to_thread(self._servers.run, work)

    async def kill(self, *numbers: int) -> None:
        """Kill nodes as a crash would, and leave them so."""
        for number in numbers:
            await self.at_servers(self[number].kill())

    async def end(self, number: int) -> None:
        """Let a node hand over what it leads and end."""
        await self.at_servers(self[number].stop())

    async def start(self, *numbers: int) -> None:
        """Start nodes again; return when each of them answers."""
        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(self.at_servers(self[number].start()))

    def freeze(self, number: int) -> None:
        """Let a node stand still."""
        pid = self[number].pid
        assert pid is not None
        freeze(pid)
        self._frozen.add(number)

    def thaw(self, number: int) -> None:
        """Let it go on."""
        pid = self[number].pid
        assert pid is not None
        os.kill(pid, signal.SIGCONT)
        self._frozen.discard(number)

    @asynccontextmanager
    async def frozen(self, number: int) -> AsyncIterator[None]:
        """Let a node stand still for a while."""
        self.freeze(number)
        try:
            yield
        finally:
            self.thaw(number)

    async def leaders(self, topic: str) -> dict[int, int]:
        """Return which node leads each partition of a topic; -1 where none does."""
        return {n: leader for n, leader, _in_sync in await self._partitions([topic])}

    async def coordinator(self, group_id: str) -> int:
        """Return which node coordinates a group."""
        client = AIOKafkaClient(bootstrap_servers=self.address)
        await client.bootstrap()
        try:
            return int(await client.coordinator_lookup(CoordinationType.GROUP, group_id))
        finally:
            await client.close()

    async def until_whole(self, *, seconds: float = _WHOLE_SECONDS) -> float:
        """Wait until all nodes run and have a copy in sync of everything; return for how long."""
        for number in list(self._frozen):
            self.thaw(number)
        began = time.monotonic()
        await self.start(*(number for number in self.numbers if self[number].pid is None))
        async with asyncio.timeout(seconds):
            while True:
                try:
                    partitions = await self._partitions(None)
                    if all(len(in_sync) == len(self.numbers) for _, _, in_sync in partitions):
                        return time.monotonic() - began
                except (KafkaError, OSError):
                    pass
                await asyncio.sleep(_LOOK_SECONDS)

    async def _partitions(self, topics: Iterable[str] | None) -> list[tuple[int, int, list[int]]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            described = await admin.describe_topics(topics)
        finally:
            await admin.close()
        return [
            (each["partition"], each["leader"], each["isr"])
            for topic in described
            for each in topic["partitions"]
        ]
