"""What every benchmark stands on: a database and a broker on core 1, a role of ours on core 0.

PostgreSQL runs with `fsync` and `synchronous_commit` on. What makes load belongs on core 1 as well,
so that a role has a core to itself, and what it costs can be told from what its test costs.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import httpx

from benchmarks.figures import APACHE
from gateway.db.migrate import upgrade
from gateway.dev.identity import Identity
from gateway.embedded import ApacheKafka, Noida, Postgres, Program, Server
from gateway.embedded.ports import free_port

ROLE_CORE: Final = 0
OTHER_CORE: Final = 1

Broker = Literal["noida", "apache"]


@contextlib.asynccontextmanager
async def _leave_alone(_name: str, _pid: int) -> AsyncIterator[None]:
    yield


# What is done beside each role while it runs, by name and process; profiles are taken here.
watch_role: Callable[[str, int], contextlib.AbstractAsyncContextManager[None]] = _leave_alone

_ROOT: Final = Path(__file__).resolve().parent.parent
_JARS: Final = _ROOT / ".tools" / "kafka"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


def broker_of(part: str) -> Broker:
    """Return the broker that a part is measured on: `{PART}_BROKER` says `noida` or `apache`."""
    name = f"{part.upper()}_BROKER"
    match os.environ.get(name, "noida"):  # noqa: TID251 - no setting of a role's
        case "noida":
            return "noida"
        case "apache":
            return "apache"
        case other:
            sys.exit(f"{name} is noida or apache, not {other}.")


def prefix_of(part: str, broker: Broker) -> str:
    """Return what the names of a part's figures begin with, so that each broker has its own."""
    return part if broker == "noida" else f"{part}{APACHE}"


@contextlib.contextmanager
def pin(core: int) -> Iterator[None]:
    """Let this thread, and every process that it starts in the block, run on one core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has computed, with those that it started."""
    seconds = _own_cpu_seconds(pid)
    for child in _children(pid):
        # One that ends meanwhile counts with its parent, once waited for.
        with contextlib.suppress(OSError):
            seconds += cpu_seconds(child)
    return seconds


def _own_cpu_seconds(pid: int) -> float:
    # The name, in parentheses, may hold anything; utime, stime, cutime and cstime come behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for children in Path(f"/proc/{pid}/task").glob("*/children")
        for child in children.read_text().split()
    ]


def busy_seconds(core: int) -> float:
    """Return the seconds that a core has not been idle since the machine started."""
    lines = Path("/proc/stat").read_text().splitlines()
    fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{core} "))
    # user, nice, system, idle, iowait, irq, softirq, steal; guests count with user.
    spent = [int(field) for field in fields[:8]]
    return (sum(spent) - spent[3] - spent[4]) / _TICKS


def peak_mebibytes(pid: int) -> float:
    """Return the most memory that a process has had resident so far."""
    return _status(pid, "VmHWM")


def mebibytes(pid: int) -> float:
    """Return the memory that a process has resident now."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of ours that runs and is ready."""

    pid: int
    port: int
    ops_port: int
    log: Path

    @property
    def url(self) -> str:
        """Where `api` serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        """Where probes and metrics are served."""
        return f"http://127.0.0.1:{self.ops_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A migrated database and a broker, both empty and running."""

    directory: Path
    identity: Identity
    postgres: Server[Postgres]
    kafka: Server[Noida] | Server[ApacheKafka]
    partitions: int = 8

    @property
    def database_url(self) -> str:
        """As `DATABASE_URL` takes it."""
        return self.postgres.address

    @property
    def bootstrap_servers(self) -> str:
        """As `KAFKA_BOOTSTRAP_SERVERS` takes it."""
        return self.kafka.address

    @property
    def environment(self) -> dict[str, str]:
        """What every role is started with."""
        return {
            "PATH": os.defpath,
            # The roles are those of the tree that holds the benchmarks, whatever is installed.
            "PYTHONPATH": str(_ROOT / "src"),
            "ENVIRONMENT": "development",
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_PARTITIONS": str(self.partitions),
            "KAFKA_REPLICATION": "1",
            "KAFKA_MIN_INSYNC_REPLICAS": "1",
            "API_RATE_LIMIT_PER_MINUTE": "0",
            "EGRESS_ALLOW_LOOPBACK": "true",
            "ENCRYPTION_KEYS": self.identity.encryption_keys,
            "GATEWAY_ADMIN_KEY": self.identity.admin_key,
            "DATA_DIR": str(self.directory / "files"),
            "HOST": "127.0.0.1",
            "OPS_HOST": "127.0.0.1",
        }

    @contextlib.asynccontextmanager
    async def role(
        self, name: str, *, core: int = ROLE_CORE, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[Role]:
        """Run `gateway api`, `routing` or `sender` on a core of its own while the block runs."""
        port, ops_port = free_port(), free_port()
        log = self.directory / f"{name}.log"
        program = Program(
            [sys.executable, "-m", "gateway", name],
            env=self.environment
            | {
                "PORT": str(port),
                "OPS_PORT": str(ops_port),
                "PUBLIC_URL": f"http://127.0.0.1:{port}",
                "KAFKA_GROUP_INSTANCE_ID": f"{name}-bench",
            }
            | dict(environment or {}),
            output=log,
        )
        with pin(core):
            await program.start()
        try:
            await _until_ready(program, f"http://127.0.0.1:{ops_port}/readyz", log)
            assert program.pid is not None
            async with watch_role(name, program.pid):
                yield Role(pid=program.pid, port=port, ops_port=ops_port, log=log)
        finally:
            await program.stop()


@contextlib.asynccontextmanager
async def stage(*, broker: Broker = "noida") -> AsyncIterator[Stage]:
    """Start an empty database and an empty broker on core 1 while the block runs."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    # The database runs as another user, who has to get there.
    directory.chmod(0o711)
    postgres = Server(Postgres(directory / "postgres"))
    kafka: Server[Noida] | Server[ApacheKafka] = (
        Server(ApacheKafka(directory / "kafka", cache=_JARS))
        if broker == "apache"
        else Server(Noida(directory / "kafka"))
    )
    try:
        with pin(OTHER_CORE):
            await postgres.start()
            await kafka.start()
        await asyncio.to_thread(upgrade, postgres.address)
        yield Stage(
            directory=directory, identity=Identity.of(directory), postgres=postgres, kafka=kafka
        )
    finally:
        await kafka.stop()
        await postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _until_ready(program: Program, address: str, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        while program.pid is not None and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(address)).is_success:
                    return
            await asyncio.sleep(_POLL_SECONDS)
    raise RuntimeError(f"It did not become ready:\n{log.read_text()[-4000:]}")
