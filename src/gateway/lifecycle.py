"""Runs the parts of a process until a signal, and ends them in order.

The first SIGTERM or SIGINT makes the process not ready, lets running work end within the drain's
deadline, cancels what is left and closes what was opened, last first. The second one ends it at
once. A part that ends by itself, or fails, ends the process with exit code 1, in the same order:
whoever started it starts it again. Ten seconds after the signal the process is gone in any case.
"""

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog
import uvloop

EXIT_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.5
_CANCEL_SECONDS: Final = 0.5
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()

Step = Callable[[], Awaitable[object]]
Main = Callable[["Lifecycle"], Coroutine[Any, Any, None]]


class Lifecycle:
    """The parts of one process."""

    def __init__(self, *, drain_seconds: float, exit_seconds: float = EXIT_SECONDS) -> None:
        """Describe the end of the process.

        Args:
            drain_seconds: How long work may take to end after the signal.
            exit_seconds: How long after the signal the process is ended from outside its event
                loop, whatever hangs.
        """
        self._drain_seconds = drain_seconds
        self._exit_seconds = exit_seconds
        self._drains: list[tuple[str, Step]] = []
        self._closes: list[tuple[str, Step]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._ending = asyncio.Event()
        self._signalled = False
        self._failed = False

    @property
    def is_ending(self) -> bool:
        """Whether the process has begun to end; it is not ready from then on."""
        return self._ending.is_set()

    def supervise(self, name: str, run: Step) -> None:
        """Start a part that works until it is cancelled; if it ends before, the process does."""
        assert self._group is not None
        task = self._group.create_task(self._watch(name, run), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_drain(self, name: str, step: Step) -> None:
        """Await a step when the process is to end, beside the others: take no more, let work end.

        Supervised parts still run meanwhile.
        """
        self._drains.append((name, step))

    def on_close(self, name: str, step: Step) -> None:
        """Await a step after all parts have ended; the one named last comes first."""
        self._closes.append((name, step))

    def end(self) -> None:
        """Begin to end, as a signal does."""
        self._ending.set()

    async def run(self, main: Main) -> int:
        """Start the parts by `main` and run until the end; return the process's exit code.

        `main` opens what is needed, names how it is closed, and starts the parts; it is cancelled
        if the signal comes while it still does.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._take_signal, number)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                starting = group.create_task(self._start(main))
                await self._ending.wait()
                self._insure()
                starting.cancel()
                await self._drain()
                await self._cancel()
            await self._close()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            faulthandler.cancel_dump_traceback_later()
        log.info("process.ended", failed=self._failed)
        return 1 if self._failed else 0

    async def _start(self, main: Main) -> None:
        try:
            await main(self)
        # The edge of the process: whatever it is, it ends in order.
        except Exception as error:  # noqa: BLE001
            self._fail("start", error)

    async def _watch(self, name: str, run: Step) -> None:
        try:
            await run()
        # The edge of the process: whatever it is, the other parts end in order.
        except Exception as error:  # noqa: BLE001
            self._fail(name, error)
        else:
            if not self.is_ending:
                self._fail(name, None)

    def _fail(self, name: str, error: Exception | None) -> None:
        log.error("process.part_failed", part=name, why=_sentence(error), exc_info=error)
        self._failed = True
        self._ending.set()

    def _take_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
        log.info("process.ending", signal=number.name)
        self._ending.set()

    def _insure(self) -> None:
        """Have the process ended by a thread of its own if the event loop hangs."""
        file = sys.__stderr__
        if file is not None:
            faulthandler.dump_traceback_later(self._exit_seconds, exit=True, file=file)

    async def _drain(self) -> None:
        steps = [_try(name, step, self._drain_seconds) for name, step in self._drains]
        await asyncio.gather(*steps)

    async def _cancel(self) -> None:
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
            for task in late:
                log.warning("process.part_hangs", part=task.get_name())

    async def _close(self) -> None:
        for name, step in reversed(self._closes):
            await _try(name, step, _CLOSE_SECONDS)


def run_process(main: Main, *, drain_seconds: float) -> int:
    """Run a process from its first part's start to its last one's end; return its exit code."""

    async def run() -> int:
        return await Lifecycle(drain_seconds=drain_seconds).run(main)

    return uvloop.run(run())


async def _try(name: str, step: Step, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step()
    except TimeoutError:
        log.warning("process.step_timed_out", step=name)
    # What does not end well must not keep the others from ending.
    except Exception as error:
        log.warning("process.step_failed", step=name, why=_sentence(error), exc_info=error)


def _sentence(error: BaseException | None) -> str:
    """Return a reason for an operator: our own sentences, of others' exceptions the type."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is None:
        return "It ended by itself."
    if type(error).__module__.partition(".")[0] in ("gateway", "routing"):
        return str(error) or type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
