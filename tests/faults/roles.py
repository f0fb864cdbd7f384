"""Two processes of each role against one PostgreSQL, one broker and one sandbox.

What `gateway dev` is to one process of each role, with more in the hands of tests: each process
can be killed and kept away, frozen, made to die at a point, given a wrong clock, and rolled.
"""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from tests.e2e.stack import SECONDS, Gateway
from tests.faults.ledger import Ledger
from tests.support.environment import environment
from tests.support.loop_thread import LoopThread
from tests.support.processes import freeze, gone

import gateway.embedded
from gateway.db.migrate import upgrade
from gateway.dev.identity import Identity, write_private
from gateway.embedded import Noida, Postgres, Server
from gateway.embedded.ports import free_port

ROLES: Final = ("api", "routing", "sender")
_ROOT: Final = Path(__file__).parents[2]
_KEPT: Final = _ROOT / "build" / "stage-logs"
_LEASH: Final = Path(gateway.embedded.__file__).with_name("leash.py")
_MORTAL: Final = Path(__file__).with_name("mortal.py")
_BACKLOG: Final = 2048
_END_SECONDS: Final = 12.0
_SHORT_LIFE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.3
_LOOK_SECONDS: Final = 0.02


class Kept:
    """A process that is started again whenever it ends by itself, until it is told to end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        log: Path,
        *,
        ops: str = "",
        descriptor: int | None = None,
    ) -> None:
        """Describe a process.

        Args:
            name: By which tests call it.
            command: The program and its arguments.
            env: Its whole environment.
            log: What it says is put there.
            ops: Where it tells whether it is ready.
            descriptor: Of ours, that it inherits.
        """
        self.name = name
        self.log = log
        self.ops = ops
        self._command = command
        self.env = env
        self._descriptor = descriptor
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._started = threading.Event()
        self._ending = threading.Event()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The one that runs, or ran last."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it runs at this moment."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; return when its program is being executed."""
        assert self._keeper is None or not self._keeper.is_alive()
        self._started.clear()
        self._ending.clear()
        # The kernel ties a child's end to the end of the thread that started it.
        self._keeper = threading.Thread(target=self._keep, name=self.name, daemon=True)
        self._keeper.start()
        self._started.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; `SIGSTOP` returns when it stands."""
        if number is signal.SIGSTOP:
            freeze(self.pid)
        else:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it as a crash would; it is started again."""
        self.send(signal.SIGKILL)

    def keep_away(self) -> None:
        """Kill it and leave it so until `start`."""
        self._ending.set()
        self.kill()
        self._join()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end in order, and wait for that; return its exit code."""
        self.begin_to_end(number)
        return self._join()

    def begin_to_end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Have it end in order, and do not wait."""
        self._ending.set()
        if self.running:
            self.send(number)

    def _join(self) -> int:
        assert self._keeper is not None
        self._keeper.join(_END_SECONDS)
        if self._keeper.is_alive():
            self.process.kill()
            self._keeper.join()
        return self.process.returncode

    def _keep(self) -> None:
        leash: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            _LEASH,
            "KILL",
            str(os.getpid()),
            "-",
        ]
        while True:
            began = time.monotonic()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*leash, *self._command],
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=() if self._descriptor is None else (self._descriptor,),
                )
            self._started.set()
            self._process.wait()
            if self._ending.is_set():
                return
            short = time.monotonic() - began < _SHORT_LIFE_SECONDS
            if short and self._ending.wait(_PAUSE_SECONDS):
                return


@dataclass
class Stage:
    """All that runs.

    Attributes:
        directory: Where everything is kept; anybody must be able to pass through.
        servers: Starts the servers.
        each: How many processes of each role; `counts` has others for some of them.
        partitions: Of each topic.
        mortal: Whether plans and wrong clocks work; else the roles are just what is shipped.
        settings: Of the roles, beside those that are needed to run here.
        kafka: A broker that runs already; without it there is one of our own.
        way: Gives the address by which the roles reach the database at an address.
    """

    directory: Path
    servers: LoopThread
    each: int = 2
    counts: Mapping[str, int] = field(default_factory=dict)
    partitions: int = 8
    mortal: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    kafka: str = ""
    way: Callable[[str], str] = str
    processes: dict[str, Kept] = field(default_factory=dict)
    postgres: Server[Postgres] = field(init=False)
    broker: Server[Noida] | None = None
    _listener: socket.socket = field(init=False)
    _described: dict[str, Any] = field(default_factory=dict)
    _registered: bool = False

    def __getitem__(self, name: str) -> Kept:
        """Return `api-1`, `api-2`, `routing-1`, …, or `sandbox`."""
        return self.processes[name]

    def of(self, role: str) -> list[Kept]:
        """Return the processes of a role."""
        return [self.processes[name] for name in self._names(role)]

    def twin(self, name: str) -> Kept:
        """Start another process under the same name in its consumer group; end it yourself."""
        port = free_port()
        role = name.partition("-")[0]
        twin = Kept(
            f"{name}-twin",
            [sys.executable, "-m", "gateway", role],
            {**self[name].env, "OPS_PORT": str(port)},
            self.directory / "logs" / f"{name}-twin.log",
            ops=f"http://127.0.0.1:{port}/readyz",
        )
        twin.start()
        return twin

    def start(self) -> None:
        """Start everything, without waiting for the roles to become ready."""
        self.directory.chmod(0o711)
        (self.directory / "logs").mkdir()
        self.postgres = Server(
            Postgres(self.directory / "postgres", max_connections=300, durable=False)
        )
        database_url = self.servers.run(self.postgres.start())
        if not self.kafka:
            self.broker = Server(Noida(self.directory / "kafka"))
            self.kafka = self.servers.run(self.broker.start())
        upgrade(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._cast_roles(database_url)
        for kept in self.processes.values():
            kept.start()
        self.describe()

    def stop(self) -> None:
        """End everything; what the processes said is kept in `build/stage-logs`."""
        running = [kept for kept in self.processes.values() if kept.running]
        for kept in running:
            # A frozen one does not hear.
            kept.send(signal.SIGCONT)
            kept.begin_to_end()
        for kept in running:
            kept.end()
        if hasattr(self, "_listener"):
            self._listener.close()
        if self.broker is not None:
            self.servers.run(self.broker.stop())
        if hasattr(self, "postgres"):
            self.servers.run(self.postgres.stop())
        place = _KEPT / self.directory.name.rpartition("-")[0]
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.directory / "logs", place)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """Give the whole to a test, ready and with Meta's app registered."""
        await self.until_ready(*self.processes)
        described = self._described
        async with (
            _client(described["api_url"]) as api,
            _client(described["sandbox_url"]) as sandbox,
        ):
            gateway = Gateway(self.directory, self["sandbox"].process, api, sandbox)
            if not self._registered:
                await _register(gateway)
                self._registered = True
            yield gateway

    async def kill_in_turn(self, role: str, *, every: float, times: int, ledger: Ledger) -> None:
        """Kill a process of a role every so many seconds, another one each time."""
        began = time.monotonic()
        for n, kept in enumerate(itertools.islice(itertools.cycle(self.of(role)), times), start=1):
            await asyncio.sleep(began + n * every - time.monotonic())
            ledger.note("blow", blow="kill", role=role, pid=kept.pid, in_flight=[])
            kept.kill()

    def describe(self) -> None:
        """Write `dev.json` anew, as `gateway dev` does."""
        pids = {name: kept.pid for name, kept in self.processes.items()}
        write_private(self.directory / "dev.json", {**self._described, "pids": pids})

    async def until_ready(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until processes say that they are ready."""
        await asyncio.gather(*(self._until(name, ready=True, seconds=seconds) for name in names))
        self.describe()

    async def until_unready(self, name: str, *, seconds: float = 15.0) -> dict[str, str]:
        """Wait until a process says that it is not ready, and return its checks."""
        return await self._until(name, ready=False, seconds=seconds)

    def plan_death(self, name: str, point: str, *, passing: int = 1) -> None:
        """Have a process die the so-many-th time that it passes a point from now on."""
        plan = self.directory / f"{name}.plan"
        draft = plan.with_suffix(".draft")
        draft.write_text(f"{point} {passing}")
        draft.rename(plan)

    async def died(self, name: str, *, seconds: float = 90.0) -> None:
        """Wait until a process has died where it was planned."""
        plan = self.directory / f"{name}.plan"
        pid = self[name].pid
        # The plan goes just before the process does.
        if plan.exists():
            try:
                await gone(pid, seconds=seconds)
            except TimeoutError:
                raise AssertionError(f"{name} did not pass {plan.read_text()}") from None
        assert not plan.exists(), f"{name} died elsewhere"

    @property
    def deaths(self) -> list[tuple[str, str, int]]:
        """Of each planned death the process, the point, and the calls that it had in flight."""
        file = self.directory / "deaths"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(name, point, int(calls)) for name, point, calls in map(str.split, lines)]

    def set_clock(self, name: str, seconds: float) -> None:
        """Let the machine's clock of a process seem so far ahead."""
        file = self.directory / f"{name}.clock"
        draft = file.with_suffix(".draft")
        draft.write_text(str(seconds))
        draft.rename(file)

    async def _until(self, name: str, *, ready: bool, seconds: float) -> dict[str, str]:
        address = self[name].ops
        checks: dict[str, str] = {}
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    answer = await client.get(address)
                    checks = answer.json().get("checks", {})
                    if (answer.status_code == httpx.codes.OK) is ready:
                        return checks
                except httpx.TransportError as error:
                    checks = {"answers": type(error).__name__}
                assert time.monotonic() < deadline, f"{name}: {checks}"
                await asyncio.sleep(_LOOK_SECONDS)

    def _names(self, role: str) -> list[str]:
        return [f"{role}-{n}" for n in range(1, self.counts.get(role, self.each) + 1)]

    def _cast_roles(self, database_url: str) -> None:
        identity = Identity.of(self.directory)
        sandbox_port = free_port()
        api_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        names = [name for role in ROLES for name in self._names(role)]
        ports = {name: free_port() for name in names}
        self._described = {
            "api_url": api_url,
            "sandbox_url": sandbox_url,
            "database_url": database_url,
            "kafka_bootstrap_servers": self.kafka,
            "admin_key": identity.admin_key,
            "meta_app": {
                "app_id": identity.app_id,
                "app_secret": identity.app_secret,
                "verify_token": identity.verify_token,
            },
            "ops_urls": {name: f"http://127.0.0.1:{port}" for name, port in ports.items()},
        }
        common = {
            "PATH": environment().get("PATH", os.defpath),
            "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src"))),
            "ENVIRONMENT": "development",
            "DATABASE_URL": self.way(database_url),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "KAFKA_PARTITIONS": str(self.partitions),
            "KAFKA_REPLICATION": "1",
            "KAFKA_MIN_INSYNC_REPLICAS": "1",
            "EGRESS_ALLOW_LOOPBACK": "true",
            "API_RATE_LIMIT_PER_MINUTE": "0",
            "ENCRYPTION_KEYS": identity.encryption_keys,
            "GATEWAY_ADMIN_KEY": identity.admin_key,
            "DATA_DIR": str(self.directory / "files"),
            "CLOCK_MOVABLE": "true",
            "PUBLIC_URL": api_url,
            "GRAPH_BASE_URL": sandbox_url,
            # Calls end soon, so that what a death left open is known soon.
            "SENDER_FIRST_ATTEMPT_TIMEOUT": "3",
            "SENDER_ATTEMPT_TIMEOUT": "3",
            **self.settings,
        }
        self._add_sandbox(common, sandbox_port, api_url, identity)
        for name in names:
            self._add_role(name, common, ports[name])

    def _add_sandbox(
        self, common: Mapping[str, str], port: int, api_url: str, identity: Identity
    ) -> None:
        self.processes["sandbox"] = Kept(
            "sandbox",
            [sys.executable, "-m", "gateway.dev.sandbox_process"],
            {
                **common,
                "SANDBOX_HOST": "127.0.0.1",
                "SANDBOX_PORT": str(port),
                "SANDBOX_APP_ID": identity.app_id,
                "SANDBOX_APP_SECRET": identity.app_secret,
                "SANDBOX_VERIFY_TOKEN": identity.verify_token,
                "SANDBOX_WEBHOOK_URL": f"{api_url}/webhooks/meta/{{app_id}}",
            },
            self.directory / "logs" / "sandbox.log",
            ops=f"http://127.0.0.1:{port}/control/pages",
        )

    def _add_role(self, name: str, common: Mapping[str, str], port: int) -> None:
        role = name.partition("-")[0]
        command: list[str | Path] = [sys.executable, "-m", "gateway", role]
        if self.mortal:
            command = [sys.executable, _MORTAL, role, name, self.directory]
        descriptor = self._listener.fileno() if role == "api" else None
        own = {
            "OPS_PORT": str(port),
            # The embedded broker never evicts a dead member: who comes back is the same one.
            "KAFKA_GROUP_INSTANCE_ID": name,
        }
        if descriptor is not None:
            own["LISTEN_FD"] = str(descriptor)
        self.processes[name] = Kept(
            name,
            command,
            {**common, **own},
            self.directory / "logs" / f"{name}.log",
            ops=f"http://127.0.0.1:{port}/readyz",
            descriptor=descriptor,
        )


def _client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, timeout=SECONDS, trust_env=False)


async def _register(gateway: Gateway) -> None:
    app = gateway.app
    await gateway.admin(
        "POST",
        "/v1/meta-apps",
        {
            "app_id": app["app_id"],
            "name": "Sandbox",
            "app_secrets": [app["app_secret"]],
            "verify_token": app["verify_token"],
        },
    )
