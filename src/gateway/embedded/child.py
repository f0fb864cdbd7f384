"""A child process that cannot outlive us."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_LEASH: Final = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True)
class User:
    """Whom a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Step:
    """One way to ask a process to end, and how long it may take over it."""

    signal: signal.Signals
    seconds: float


class Child:
    """One running process, in a session and process group of its own.

    Ctrl-C in a terminal does not reach it: whoever started it decides when it ends. On Linux the
    kernel ends it when we die, even by SIGKILL (see `leash.py`, also for the thread it is tied to).
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        *,
        output: Path | int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        when_we_die: signal.Signals = signal.SIGKILL,
    ) -> Self:
        """Start a command whose output goes to the end of a file, or to an open descriptor.

        Without `env` it inherits ours. Whether the command exists shows only in how it ends.
        """
        leash: list[str | Path] = [
            *(sys.executable, "-I", "-S", _LEASH),
            when_we_die.name.removeprefix("SIG"),
            str(os.getpid()),
            f"{user.uid}:{user.gid}" if user else "-",
        ]
        with _open(output) as descriptor:
            process = await asyncio.create_subprocess_exec(
                *leash,
                *command,
                stdin=DEVNULL,
                stdout=descriptor,
                stderr=STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it has ended, end what it left of its group, and return its exit code."""
        exit_code = await self._process.wait()
        self._kill_group()
        return exit_code

    async def stop(self, *steps: Step) -> int:
        """Ask it to end, each step more urgently; after the last one kill its group."""
        for step in steps:
            self._send(step.signal)
            try:
                async with asyncio.timeout(step.seconds):
                    return await self.wait()
            except TimeoutError:
                continue
        return await self.kill()

    async def kill(self) -> int:
        """Kill its whole group, now, and wait until it is gone."""
        self._kill_group()
        return await self.wait()

    def _kill_group(self) -> None:
        # macOS says "not permitted" of a group whose last member was not waited for yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


@contextlib.contextmanager
def _open(output: Path | int) -> Iterator[int]:
    if isinstance(output, int):
        yield output
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
