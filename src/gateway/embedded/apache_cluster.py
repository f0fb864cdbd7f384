"""Several Apache Kafka nodes on one machine, to kill and freeze one at a time."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.apache_kafka import ApacheKafka, Seat, random_uuid
from gateway.embedded.kafka_jars import bring_jars
from gateway.embedded.ports import free_port
from gateway.embedded.server import Server


class ApacheCluster:
    """A cluster: `async with ApacheCluster(directory, cache=…) as cluster: … cluster.address …`.

    `nodes[i]` is node `i + 1`, with `pid`, `kill()`, `wait()`, `stop()`, and `start()` to bring it
    back on the same port with what it had on disk. Each node's files and log are in `node-<n>`.
    """

    def __init__(
        self, directory: Path, *, cache: Path, brokers: int = 3, heap: str = "256m"
    ) -> None:
        """Describe a cluster that has not run before.

        Args:
            directory: Where all files of all nodes go.
            cache: Where Kafka's jars are kept for the next time (54 MB).
            brokers: How many nodes.
            heap: The largest heap of each, as `-Xmx` takes it.
        """
        self._cache = cache
        controllers = dict(zip(range(1, brokers + 1), _ports(brokers), strict=True))
        cluster = random_uuid()
        self.nodes = [
            Server(
                ApacheKafka(
                    directory / f"node-{number}",
                    cache=cache,
                    heap=heap,
                    seat=Seat(cluster, number, controllers),
                )
            )
            for number in controllers
        ]

    @property
    def address(self) -> str:
        """Every node's address, as `KAFKA_BOOTSTRAP_SERVERS` takes them."""
        return ",".join(node.address for node in self.nodes)

    async def start(self) -> str:
        """Start the nodes that do not run; return `address` once all answer.

        Raises:
            EmbeddedError: one does not run here; the message says what a person can do.
        """
        # Once, and not by each node for itself.
        await bring_jars(self._cache)
        try:
            async with asyncio.TaskGroup() as group:
                for node in self.nodes:
                    if node.pid is None:
                        group.create_task(node.start())
        except BaseExceptionGroup as errors:
            await self.stop()
            raise errors.exceptions[0] from None
        return self.address

    async def stop(self) -> None:
        """End all nodes at once."""
        # A node that ends in order first hands its partitions to the others, in vain if all end.
        await asyncio.gather(*(node.kill() for node in self.nodes if node.pid is not None))
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)
