"""What every test may ask for.

| fixture | gives |
|---|---|
| `database_url` | a fresh database with the present schema, dropped afterwards |
| `empty_database_url` | the same without any schema |
| `kafka_bootstrap` | a fresh broker |
| `apache_kafka` | a cluster of Apache Kafka, each node to kill and freeze |
| `own_postgres`, `own_broker` | servers of the test's own, to kill and start again |
| `receiver` | a local HTTP endpoint that records and misbehaves |
| `clock` | time that stands still |

Whoever asks for a server is marked `integration` (and `kafka`) by that, and may use loopback
sockets; so may tests marked `e2e`. With DATABASE_URL or KAFKA_BOOTSTRAP_SERVERS set, `database_url`
and `kafka_bootstrap` use those servers. With `--apache-kafka 3`, `kafka_bootstrap` is a cluster of
so many nodes, started once; without, tests that need such a cluster are skipped.
"""

import asyncio
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.clock import FakeClock
from tests.support.databases import Databases
from tests.support.environment import environment, foreign_names
from tests.support.external_kafka import ExternalKafkaTopics
from tests.support.loop_thread import LoopThread
from tests.support.receiver import Receiver
from tests.support.scratch import scratch_parent

from gateway.embedded import ApacheCluster, ExternalPostgres, Noida, Postgres, Server

_LOOPBACK = ["127.0.0.1", "::1", "localhost"]
_USES_POSTGRES = {"databases", "own_postgres"}
_USES_KAFKA = {"kafka_bootstrap", "own_broker", "apache_kafka"}
_USES_LOOPBACK = {"receiver"}

_LONGEST_ID = 100
_SHOWN = 40
_JARS = Path(__file__).parents[1] / ".tools" / "kafka"

_DATABASE_URL = pytest.StashKey[str | None]()
_KAFKA = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--apache-kafka",
        type=int,
        default=0,
        metavar="N",
        help="use N nodes of Apache Kafka for tests marked kafka (needs Java and Maven)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_DATABASE_URL] = environment().get("DATABASE_URL") or None
    config.stash[_KAFKA] = environment().get("KAFKA_BOOTSTRAP_SERVERS") or None


# First, so that `-m` and the workers' grouping see the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        uses = set(getattr(item, "fixturenames", ()))
        if uses & (_USES_POSTGRES | _USES_KAFKA) and item.get_closest_marker("e2e") is None:
            item.add_marker(pytest.mark.integration)
        # The stand-in has nothing to show where Apache Kafka is asked for.
        if uses & (_USES_KAFKA - ({"own_broker"} if config.getoption("--apache-kafka") else set())):
            item.add_marker(pytest.mark.kafka)
            if config.stash[_KAFKA] or config.getoption("--apache-kafka"):
                # They share its topics, so they run one after the other.
                item.add_marker(pytest.mark.xdist_group("kafka"))
        served = any(item.get_closest_marker(mark) for mark in ("integration", "e2e"))
        if served or uses & _USES_LOOPBACK:
            item.add_marker(pytest.mark.allow_hosts(_LOOPBACK))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Keep the names of tests short: each goes to all workers and into every report."""
    if isinstance(val, bytes | str) and len(val) > _LONGEST_ID:
        whole = val if isinstance(val, bytes) else val.encode(errors="surrogatepass")
        return f"{val[:_SHOWN]!r}… {len(val)}, {zlib.crc32(whole):08x}"
    return None


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in foreign_names(environment()):
        monkeypatch.delenv(name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where servers may keep their files; pytest's own directories are closed to other users."""
    with _open_directory(scratch_parent()) as directory:
        yield directory


@contextmanager
def _open_directory(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gateway-tests-", dir=parent) as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def databases(
    pytestconfig: pytest.Config, loop_thread: LoopThread, server_directory: Path
) -> Iterator[Databases]:
    """One server a worker: it takes a second, and nobody waits for anybody."""
    given = pytestconfig.stash[_DATABASE_URL]
    server = (
        ExternalPostgres(given)
        if given
        else Server(Postgres(server_directory / "postgres", max_connections=300, durable=False))
    )
    databases = Databases(loop_thread.run(server.start()), _migrate)
    try:
        yield databases
        loop_thread.run(databases.drop_template())
    finally:
        loop_thread.run(server.stop())


def _migrate(database_url: str) -> None:
    # Imported late, so that tests which need no database do not need it to be sound.
    from gateway.db.migrate import upgrade  # noqa: PLC0415

    upgrade(database_url)


@pytest.fixture
def database_url(databases: Databases, loop_thread: LoopThread) -> Iterator[str]:
    address = loop_thread.run(databases.migrated())
    yield address
    loop_thread.run(databases.drop(address))


@pytest.fixture
def empty_database_url(databases: Databases, loop_thread: LoopThread) -> Iterator[str]:
    address = loop_thread.run(databases.empty())
    yield address
    loop_thread.run(databases.drop(address))


@pytest.fixture
async def own_postgres(server_directory: Path) -> AsyncIterator[Server[Postgres]]:
    """A server with the present schema in its database; `address`, `pid`, `kill()`, `start()`."""
    directory = Path(tempfile.mkdtemp(dir=server_directory))
    async with Server(Postgres(directory, durable=False)) as server:
        await asyncio.to_thread(_migrate, server.address)
        yield server


@pytest.fixture(scope="session")
def apache_kafka(pytestconfig: pytest.Config, loop_thread: LoopThread) -> Iterator[ApacheCluster]:
    """One cluster for all tests; whoever kills or freezes a node brings it back."""
    brokers = pytestconfig.getoption("--apache-kafka")
    if not brokers or pytestconfig.stash[_KAFKA]:
        pytest.skip("`make test-kafka` runs it, on a cluster of its own")
    # On a disk: what it takes is measured, and whoever kills it counts on its files.
    with _open_directory(None) as directory:
        cluster = ApacheCluster(directory / "apache-kafka", cache=_JARS, brokers=brokers)
        loop_thread.run(cluster.start())
        yield cluster
        loop_thread.run(cluster.stop())


@pytest.fixture(scope="session")
def external_kafka(request: pytest.FixtureRequest, loop_thread: LoopThread) -> ExternalKafkaTopics:
    given = request.config.stash[_KAFKA]
    if given is None:
        cluster: ApacheCluster = request.getfixturevalue("apache_kafka")
        given = cluster.address
    topics = ExternalKafkaTopics(given)
    loop_thread.run(topics.require_none())
    return topics


@pytest.fixture
def kafka_bootstrap(
    request: pytest.FixtureRequest, loop_thread: LoopThread, server_directory: Path
) -> Iterator[str]:
    if request.config.stash[_KAFKA] or request.config.getoption("--apache-kafka"):
        topics: ExternalKafkaTopics = request.getfixturevalue("external_kafka")
        yield topics.bootstrap_servers
        loop_thread.run(topics.clear())
    else:
        # A fresh one takes ten milliseconds.
        server = Server(Noida(Path(tempfile.mkdtemp(dir=server_directory))))
        yield loop_thread.run(server.start())
        loop_thread.run(server.stop())


@pytest.fixture
async def own_broker(server_directory: Path) -> AsyncIterator[Server[Noida]]:
    """A broker with `address`, `pid`, `kill()`, `start()`."""
    async with Server(Noida(Path(tempfile.mkdtemp(dir=server_directory)))) as server:
        yield server
