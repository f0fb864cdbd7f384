"""Keeps programs and servers running, and ends them all."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from gateway.embedded.errors import EmbeddedError

_log = structlog.get_logger(__name__)

# What ran for less than this is started again after a pause, together well within a second.
_SHORT_LIFE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.5


class Supervised(Protocol):
    """What can be kept running: a `Program`, a `Server`, or what stands in for one."""

    @property
    def pid(self) -> int | None:
        """Its process id; None where it does not run or is not ours."""
        ...

    async def start(self) -> object:
        """Start it, also again after it ended."""
        ...

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        ...

    async def stop(self) -> None:
        """End it, however long it resists."""
        ...

    async def kill(self) -> None:
        """End it at once."""
        ...


@dataclass(slots=True)
class _Kept:
    name: str
    stage: int
    process: Supervised
    restart: bool
    # Held while it is started or ended, so that nothing is started after its end.
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Starts processes, starts those again that die, and leaves none behind.

    Use it as an async context manager; its end is theirs.
    """

    def __init__(self, *, on_restart: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Make a supervisor of nothing yet.

        Args:
            on_restart: Awaited with the name of what has been started again; `pids` is new then.
        """
        self._on_restart = on_restart
        self._kept: list[_Kept] = []
        self._ending = asyncio.Event()
        self._group = asyncio.TaskGroup()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of what runs at this moment, by name, in the order of starting."""
        return {kept.name: kept.process.pid for kept in self._kept if kept.process.pid is not None}

    async def start(self, name: str, process: Supervised, *, stage: int, restart: bool) -> None:
        """Start a process and keep it.

        Stages end in falling order; what is in one stage ends together.

        Args:
            name: Of the process, in `pids` and in the log.
            process: What to start.
            stage: Higher than that of what it needs.
            restart: Whether it is started again, within a second, whenever it ends by itself.

        Raises:
            EmbeddedError: it is a server that does not start.
        """
        await process.start()
        kept = _Kept(name, stage, process, restart)
        self._kept.append(kept)
        self._group.create_task(self._keep(kept))

    async def stop(self) -> None:
        """End everything, in falling order of stages."""
        self._ending.set()
        by_stage = sorted(self._kept, key=lambda kept: kept.stage, reverse=True)
        for _, stage in groupby(by_stage, key=lambda kept: kept.stage):
            await asyncio.gather(*(self._end(kept) for kept in stage))

    def hurry(self) -> None:
        """Kill whatever still runs: for who does not want to wait for `stop`."""
        self._ending.set()
        for kept in self._kept:
            if kept.process.pid is not None:
                self._group.create_task(kept.process.kill())

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
        except asyncio.CancelledError:
            self.hurry()
            raise
        finally:
            # Every task ends with its process. An error of the body passes through as it is.
            await self._group.__aexit__(None, None, None)

    async def _end(self, kept: _Kept) -> None:
        async with kept.moving:
            await kept.process.stop()

    async def _keep(self, kept: _Kept) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            exit_code = await kept.process.wait()
            if self._ending.is_set():
                return
            _log.warning("embedded.ended", name=kept.name, exit_code=exit_code)
            if not kept.restart:
                return
            if asyncio.get_running_loop().time() - began < _SHORT_LIFE_SECONDS:
                await self._pause()
            if not await self._start_again(kept):
                return

    async def _start_again(self, kept: _Kept) -> bool:
        """Return whether it runs again; if not, everything is ending."""
        while True:
            async with kept.moving:
                if self._ending.is_set():
                    return False
                try:
                    await kept.process.start()
                    break
                except (EmbeddedError, OSError) as error:
                    _log.warning("embedded.not_restarted", name=kept.name, error=str(error))
            await self._pause()
        _log.info("embedded.restarted", name=kept.name, pid=kept.process.pid)
        if self._on_restart is not None:
            await self._on_restart(kept.name)
        return True

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._ending.wait()


@contextlib.contextmanager
def ending_signals(again: Callable[[], None]) -> Iterator[asyncio.Event]:
    """Give an event that is set when somebody wants an end: Ctrl-C, SIGTERM, a closed terminal.

    Args:
        again: Called when they say so once more.
    """
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            again()
        asked.set()

    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, ask)
    try:
        yield asked
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
