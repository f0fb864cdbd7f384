"""Apache Kafka itself, through Java and Maven: the reference that our promises are tested on."""

import base64
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.child import Step
from gateway.embedded.directory import ServerDirectory
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.kafka_jars import bring_jars, find_program
from gateway.embedded.kafka_metadata import broker_answers
from gateway.embedded.ports import free_port
from gateway.embedded.server import Launch, run_to_the_end

# Several share a laptop: one collector thread, and no second compiler behind the first.
_FRUGAL: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_REMEDY: Final = "A broker of your own can be named in KAFKA_BOOTSTRAP_SERVERS."


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in a cluster: its number among all nodes' controller ports, by number."""

    cluster: str
    node: int
    controllers: Mapping[int, int]


class ApacheKafka:
    """One node in KRaft mode, broker and controller in one: a cluster of its own, or a seat in one.

    A cluster keeps as many copies of everything as it has nodes, three at most, and takes nothing
    that is not on two of them where there are three.
    """

    # It tidies up at leisure; a kill would lose nothing either.
    ending: Sequence[Step] = (Step(signal.SIGTERM, 15),)
    start_seconds: float = 60.0
    passing_reasons: Sequence[str] = ("Address already in use",)
    remedy: str = _REMEDY

    def __init__(
        self, directory: Path, *, cache: Path, heap: str = "512m", seat: Seat | None = None
    ) -> None:
        """Describe a broker.

        Args:
            directory: Where all its files go; made if need be, kept when the broker ends.
            cache: Where Kafka's jars are kept for the next time (54 MB).
            heap: Java's largest heap, as `-Xmx` takes it.
            seat: Its place in a cluster; without one it is alone.
        """
        self.directory = ServerDirectory(directory)
        self.data = self.directory.path / "data"
        self._properties = self.directory.path / "server.properties"
        self._cache = cache.absolute()
        self._heap = heap
        self._seat = seat
        # Nodes that all end in order wait for one another to take over what they lead.
        self.when_we_die: signal.Signals = signal.SIGKILL if seat else signal.SIGTERM
        self._java: list[str | Path] = []

    def address(self, port: int) -> str:
        """Return the broker's address, as `KAFKA_BOOTSTRAP_SERVERS` takes it."""
        return f"127.0.0.1:{port}"

    async def prepare(self) -> None:
        """Bring the jars and format the storage, each the first time.

        Raises:
            EmbeddedError: Java or Maven is missing, or the storage cannot be formatted.
        """
        java = find_program("java")
        jars = await bring_jars(self._cache)
        self._java = [java, f"-Xmx{self._heap}", *_FRUGAL, "-cp", f"{jars}/*"]
        if (self.data / "meta.properties").exists():
            return
        self._write_properties(free_port())
        cluster = self._seat.cluster if self._seat else random_uuid()
        command = [
            *(*self._java, "kafka.tools.StorageTool", "format"),
            *("-t", cluster, "-c", self._properties),
        ]
        formatting = Launch(command, cwd=self.directory.path)
        if not await run_to_the_end(formatting, log=self.directory.log):
            raise EmbeddedError(
                f"Apache Kafka could not format its storage:\n{self.directory.last_words()}"
            )

    def launch(self, port: int) -> Launch:
        """Write the configuration for this port and return what to execute."""
        self._write_properties(port)
        return Launch([*self._java, "kafka.Kafka", self._properties], cwd=self.directory.path)

    async def answers(self, port: int) -> bool:
        """Tell whether it answers a metadata request, itself among the brokers."""
        return await broker_answers("127.0.0.1", port)

    def _write_properties(self, port: int) -> None:
        node = self._seat.node if self._seat else 1
        controllers = self._seat.controllers if self._seat else {node: _another_port(port)}
        copies = min(3, len(controllers))
        voters = ",".join(f"{number}@127.0.0.1:{at}" for number, at in controllers.items())
        properties = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controllers[node]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.data,
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            # Few groups and nothing transactional: fifty partitions each would be empty files.
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
            # Topics are made by the gateway, with its settings, or not at all.
            "auto.create.topics.enable": "false",
            "log.segment.delete.delay.ms": 1000,
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties.write_text(text)


def _another_port(port: int) -> int:
    while (other := free_port()) == port:
        pass
    return other


def random_uuid() -> str:
    """Return a cluster id as Kafka writes them; one that begins with a dash reads as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
