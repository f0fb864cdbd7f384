"""Runs a server of a known kind on a directory and a port of its own."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from gateway.embedded.child import Child, Step, User
from gateway.embedded.directory import ServerDirectory
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.ports import free_port

_POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute, where and as whom; without `env` it inherits ours."""

    command: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str] | None = None
    user: User | None = None


class Kind(Protocol):
    """How one kind of server is made, started, recognised and ended."""

    @property
    def directory(self) -> ServerDirectory:
        """Where all its files go."""
        ...

    @property
    def ending(self) -> Sequence[Step]:
        """How to end it, politely first."""
        ...

    @property
    def when_we_die(self) -> signal.Signals:
        """What ends it where nobody is left to ask it to."""
        ...

    @property
    def start_seconds(self) -> float:
        """How long it may take to answer."""
        ...

    @property
    def passing_reasons(self) -> Sequence[str]:
        """What its log says when it did not start for a reason that will pass."""
        ...

    @property
    def remedy(self) -> str:
        """What a person can do where it does not run."""
        ...

    async def prepare(self) -> None:
        """Make what a start needs, in the directory that is now claimed.

        Raises:
            EmbeddedError: it cannot be had on this machine.
        """
        ...

    def launch(self, port: int) -> Launch:
        """Return what to execute."""
        ...

    async def answers(self, port: int) -> bool:
        """Tell, by a real request, whether it serves."""
        ...

    def address(self, port: int) -> str:
        """Return what the application's setting takes."""
        ...


KindT = TypeVar("KindT", bound=Kind)


class Server(Generic[KindT]):
    """One server: `async with Server(Postgres(directory)) as server: … server.address …`.

    Its loopback port stays the same as long as this object lives, over kills and restarts. Start
    and stop it in one thread that lives as long as the process does (see `leash.py`).
    """

    def __init__(self, kind: KindT, *, port: int | None = None) -> None:
        """Describe a server; nothing happens before `start`. Without a port it takes a free one."""
        self.kind = kind
        self._port = port
        self._child: Child | None = None

    @property
    def port(self) -> int:
        """Where it listens; known from the first start on."""
        assert self._port is not None
        return self._port

    @property
    def address(self) -> str:
        """What the application's setting takes; known from the first start on."""
        return self.kind.address(self.port)

    @property
    def pid(self) -> int | None:
        """The server's process id; None where it does not run."""
        if self._child is None or self._child.exit_code is not None:
            return None
        return self._child.pid

    async def start(self) -> str:
        """Start the server and return `address` once it answers. Starts again what was killed.

        Raises:
            EmbeddedError: it does not run here; the message says what a person can do.
        """
        polite = self.kind.ending[0]
        await self.kind.directory.claim(polite.signal, seconds=polite.seconds)
        try:
            await self.kind.prepare()
            await self._serve()
        except BaseException:
            await self.stop()
            raise
        return self.address

    async def wait(self) -> int:
        """Wait until the server has ended; return its exit code (negative: by that signal)."""
        assert self._child is not None
        return await self._child.wait()

    async def stop(self) -> None:
        """End the server, everything written down, and let the directory go."""
        if self._child is not None:
            await self._child.stop(*self.kind.ending)
        self.kind.directory.release()

    async def kill(self) -> None:
        """Kill the server as a crash would; `start` brings it back."""
        assert self._child is not None
        await self._child.kill()

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

    async def _serve(self) -> None:
        chosen = self._port
        try:
            async with asyncio.timeout(self.kind.start_seconds):
                while True:
                    self._port = chosen or free_port()
                    if await self._try_to_serve(self._port):
                        return
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise self._failure(f"answer within {self.kind.start_seconds:.0f} s") from None

    async def _try_to_serve(self, port: int) -> bool:
        directory = self.kind.directory
        directory.begin_log()
        launch = self.kind.launch(port)
        self._child = await Child.start(
            launch.command,
            output=directory.log,
            env=launch.env,
            cwd=launch.cwd,
            user=launch.user,
            when_we_die=self.kind.when_we_die,
        )
        directory.record(self._child.pid)
        while self._child.exit_code is None:
            if await self.kind.answers(port) and self._child.exit_code is None:
                return True
            await asyncio.sleep(_POLL_SECONDS)
        if not any(reason in directory.last_words() for reason in self.kind.passing_reasons):
            raise self._failure("start")
        return False

    def _failure(self, verb: str) -> EmbeddedError:
        directory = self.kind.directory
        return EmbeddedError(
            f"{type(self.kind).__name__} did not {verb}. The end of {directory.log}:\n"
            f"{directory.last_words()}\n{self.kind.remedy}"
        )


async def run_to_the_end(launch: Launch, *, log: Path) -> bool:
    """Run a command that ends by itself, or when we are cut off; return whether it succeeded."""
    child = await Child.start(
        launch.command,
        output=log,
        env=launch.env,
        cwd=launch.cwd,
        user=launch.user,
        when_we_die=signal.SIGKILL,
    )
    try:
        return await child.wait() == 0
    finally:
        await child.kill()
