"""PostgreSQL goes away in every way that it can: webhooks are taken, and all comes right after."""

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from tests.e2e.stack import Gateway
from tests.faults.checker import check
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.roles import ROLES, Kept, Stage
from tests.faults.traffic import Plan, Traffic
from tests.support.loop_thread import LoopThread
from tests.support.processes import children, freeze

from gateway.db.processes import LIVE_SECONDS

pytestmark = pytest.mark.faults

Blow = Callable[[Stage], AbstractAsyncContextManager[None]]

# What is promised once the database is back, without a restart of ours.
READY_AGAIN_SECONDS = 10.0
# Long enough for heart-beats to fail, and to see what the roles do meanwhile.
AWAY_SECONDS = LIVE_SECONDS + 2
# Longer than an ingress goes without asking whether secrets have changed.
WARM_SECONDS = 3.0
# Of a core, by one process that also serves; a busy loop takes all of it.
BUSY = 0.7
LINES_A_SECOND = 30.0
# Room for an empty database with its log, and little more.
DISK_MEBIBYTES = 160
# How a greedy client cuts others off, and asks for what comes free.
_CUT_SECONDS = 0.1
_ASK_SECONDS = 0.005
_MANY = 1_000_000
_TICKS = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def killed(stage: Stage) -> AsyncIterator[None]:
    await asyncio.to_thread(stage.servers.run, stage.postgres.kill())
    yield
    await asyncio.to_thread(stage.servers.run, stage.postgres.start())


@asynccontextmanager
async def frozen(stage: Stage) -> AsyncIterator[None]:
    pid = _postmaster(stage)
    freeze(pid)
    backends = children(pid)
    for backend in backends:
        freeze(backend)
    yield
    for each in (*backends, pid):
        os.kill(each, signal.SIGCONT)


@asynccontextmanager
async def out_of_connections(stage: Stage) -> AsyncIterator[None]:
    """Another client takes whatever connection comes free; the roles' are cut time and again."""
    enough = asyncio.Event()
    async with AsyncExitStack() as taken, asyncio.TaskGroup() as group:
        superuser = await asyncpg.connect(_superuser(stage))
        taken.push_async_callback(superuser.close)
        none_left = asyncio.Event()
        greedy = group.create_task(_take_all(stage, superuser, taken, none_left, enough))
        await none_left.wait()
        yield
        enough.set()
        await greedy


@asynccontextmanager
async def read_only(stage: Stage) -> AsyncIterator[None]:
    """As a standby is, while a failover has not ended."""
    superuser = await asyncpg.connect(
        _superuser(stage), server_settings={"default_transaction_read_only": "off"}
    )
    await superuser.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await superuser.execute("SELECT pg_reload_conf()")
    yield
    await superuser.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await superuser.execute("SELECT pg_reload_conf()")
    await superuser.close()


@pytest.mark.parametrize(
    "blow",
    [
        pytest.param(killed, id="killed"),
        pytest.param(frozen, id="frozen"),
        pytest.param(out_of_connections, id="out of connections"),
        pytest.param(read_only, id="read-only"),
    ],
)
async def test_webhooks_are_taken_while_the_database_is_away(
    stage: Stage, staged: Gateway, request: pytest.FixtureRequest, blow: Blow
) -> None:
    ledger = Ledger()
    pids = {name: kept.pid for name, kept in stage.processes.items()}
    async with _traffic(staged, ledger):
        async with blow(stage):
            watch = [_Watch(kept) for role in ROLES for kept in stage.of(role)]
            began = time.time()
            await asyncio.sleep(AWAY_SECONDS)
            for each in watch:
                each.require_calm()
            for role in ROLES:
                checks = await stage.until_unready(f"{role}-1")
                assert checks["database"] != "ok", checks
            ended = time.time()
        back = time.monotonic()
        await stage.until_ready(*stage.processes, seconds=READY_AGAIN_SECONDS)
        ledger.note("back", role="postgres", seconds=round(time.monotonic() - back, 2))
    answers = [e for e in ledger.of("answered") if began <= e["at"] <= ended]
    assert answers
    assert {e["status"] for e in answers} <= {200, 202}
    assert {name: kept.pid for name, kept in stage.processes.items()} == pids
    await _require_clean(staged, ledger, request)


async def test_a_full_disk_is_waited_for(
    loop_thread: LoopThread, request: pytest.FixtureRequest
) -> None:
    ledger = Ledger()
    async with _small_disk(loop_thread) as (stage, disk), stage.gateway() as gateway:
        pids = {name: kept.pid for name, kept in stage.processes.items()}
        async with _traffic(gateway, ledger):
            ballast = disk / "ballast"
            await asyncio.to_thread(_fill_up, ballast)
            began = time.time()
            watch = [_Watch(kept) for role in ROLES for kept in stage.of(role)]
            await asyncio.sleep(2 * AWAY_SECONDS)
            for each in watch:
                each.require_calm()
            ended = time.time()
            # What needs no new block goes on, so that readiness may say nothing of it.
            assert "No space left on device" in (disk / "server.log").read_text()
            ballast.unlink()
            if stage.postgres.pid is None:
                # It ends itself rather than lose what it has promised.
                await asyncio.to_thread(stage.servers.run, stage.postgres.start())
            await stage.until_ready(*stage.processes, seconds=READY_AGAIN_SECONDS)
        answers = [e for e in ledger.of("answered") if began <= e["at"] <= ended]
        assert answers
        assert {e["status"] for e in answers} <= {200, 202}
        assert {name: kept.pid for name, kept in stage.processes.items()} == pids
        await _require_clean(gateway, ledger, request)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="fast restart"),
        pytest.param(signal.SIGQUIT, id="immediate restart"),
        pytest.param(signal.SIGKILL, id="death of a backend"),
    ],
)
async def test_a_database_that_is_back_at_once_is_hardly_noticed(
    stage: Stage, staged: Gateway, request: pytest.FixtureRequest, number: signal.Signals
) -> None:
    """Restarts, fast and immediate, and the death of a backend, after which all sessions end."""
    ledger = Ledger()
    pids = {name: kept.pid for name, kept in stage.processes.items()}
    async with _traffic(staged, ledger):
        for _ in range(3):
            if number is signal.SIGKILL:
                os.kill(await _some_backend(staged), number)
            else:
                os.kill(_postmaster(stage), number)
                await asyncio.to_thread(stage.servers.run, stage.postgres.wait())
                await asyncio.to_thread(stage.servers.run, stage.postgres.start())
            await asyncio.sleep(1.0)
            await stage.until_ready(*stage.processes, seconds=READY_AGAIN_SECONDS)
    assert {e["status"] for e in ledger.of("answered")} <= {200, 202}
    assert {name: kept.pid for name, kept in stage.processes.items()} == pids
    await _require_clean(staged, ledger, request)


@asynccontextmanager
async def _small_disk(loop_thread: LoopThread) -> AsyncIterator[tuple[Stage, Path]]:
    """Give a stage whose database has a file system of its own, and where that is."""
    with tempfile.TemporaryDirectory(prefix="gateway-disk-") as name:
        disk = Path(name) / "postgres"
        disk.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m,mode=0711", "tmpfs", str(disk)]
        mounted = os.geteuid() == 0 and _quietly("mount", *options)
        if not mounted:
            pytest.skip("Only root, where it may mount, gives the database a disk of its own.")
        stage = Stage(Path(name), loop_thread, each=1)
        try:
            await asyncio.to_thread(stage.start)
            yield stage, disk
        finally:
            await asyncio.to_thread(stage.stop)
            _quietly("umount", "--lazy", str(disk))


def _quietly(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _fill_up(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(2**16))


class _Watch:
    """What a process computes and says from now on."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._began = time.monotonic()
        self._cpu = self._cpu_seconds()
        self._lines = self._log_lines()

    def require_calm(self) -> None:
        seconds = time.monotonic() - self._began
        busy = (self._cpu_seconds() - self._cpu) / seconds
        lines = (self._log_lines() - self._lines) / seconds
        assert busy < BUSY, f"{self._kept.name} takes {busy:.0%} of a core"
        assert lines < LINES_A_SECOND, f"{self._kept.name} says {lines:.0f} lines a second"

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._kept.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / _TICKS

    def _log_lines(self) -> int:
        return self._kept.log.read_bytes().count(b"\n")


def _postmaster(stage: Stage) -> int:
    pid = stage.postgres.pid
    assert pid is not None
    return pid


def _superuser(stage: Stage) -> str:
    return stage.postgres.kind.superuser_address(stage.postgres.port)


async def _some_backend(gateway: Gateway) -> int:
    connection = await asyncpg.connect(Deployment.of(gateway.description).postgres_dsn)
    pid: int = await connection.fetchval(
        "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'gateway-routing'"
    )
    await connection.close()
    return pid


async def _take_all(
    stage: Stage,
    superuser: asyncpg.Connection,
    taken: AsyncExitStack,
    none_left: asyncio.Event,
    enough: asyncio.Event,
) -> None:
    address = stage.postgres.address.replace("+asyncpg", "")
    loop = asyncio.get_running_loop()
    while not enough.is_set():
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'gateway-%'"
        )
        # What is cut comes free a moment later, and whoever asks first has it.
        cut_again_at = loop.time() + _CUT_SECONDS
        while loop.time() < cut_again_at and not enough.is_set():
            try:
                taken.push_async_callback((await asyncpg.connect(address)).close)
            except (asyncpg.PostgresError, OSError):
                none_left.set()
                await asyncio.sleep(_ASK_SECONDS)


@asynccontextmanager
async def _traffic(gateway: Gateway, ledger: Ledger) -> AsyncIterator[None]:
    """Let people write meanwhile; a back end answers what it hears, once it can."""
    plan = Plan(contacts=60, accounts=1, pages=3, rate=20, third_party=False)
    traffic = Traffic(Deployment.of(gateway.description), ledger, plan)
    await traffic.prepare()
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.run(webhooks=_MANY, until=enough, patience=60))
        # Every ingress has heard of the app by then, and some conversations have begun.
        await asyncio.sleep(WARM_SECONDS)
        yield
        enough.set()


async def _require_clean(gateway: Gateway, ledger: Ledger, request: pytest.FixtureRequest) -> None:
    name = f"database: {request.node.name}"
    verdict = await check(ledger, Deployment.of(gateway.description), name=name, advance_clock=True)
    verdict.require_clean()
