"""A program of ours under supervision."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.embedded.child import Child, Step
from gateway.embedded.lines import LinePipe

_ENDING_SECONDS: Final = 12.0


class Program:
    """A command that runs until it is told to end.

    Its output goes to the end of a file, or line by line to a function.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        output: Path | Callable[[str], None],
        ending_seconds: float = _ENDING_SECONDS,
    ) -> None:
        """Describe a program; nothing happens before `start`.

        Args:
            command: The program, by path or by name on the PATH of `env`, and its arguments.
            env: Its whole environment.
            cwd: Where it runs; here where not given.
            output: Where what it says goes.
            ending_seconds: From SIGTERM to SIGKILL.
        """
        self._command = command
        self._env = env
        self._cwd = cwd
        self._output = output
        self._ending = Step(signal.SIGTERM, ending_seconds)
        self._child: Child | None = None
        self._pipe: LinePipe | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None where it does not run."""
        if self._child is None or self._child.exit_code is not None:
            return None
        return self._child.pid

    async def start(self) -> None:
        """Start it. A command that does not exist shows as exit code 126."""
        if isinstance(self._output, Path):
            await self._execute(self._output)
            return
        self._pipe = await LinePipe.open()
        try:
            await self._execute(self._pipe.sink)
        except BaseException:
            self._pipe.close()
            raise
        finally:
            os.close(self._pipe.sink)

    async def _execute(self, output: Path | int) -> None:
        self._child = await Child.start(self._command, output=output, env=self._env, cwd=self._cwd)

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code (negative: by that signal).

        Where lines go to a function, waiting is what passes them on: one waiter at a time.
        """
        assert self._child is not None
        if isinstance(self._output, Path):
            return await self._child.wait()
        assert self._pipe is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pipe.pass_on(self._output))
            return await self._child.wait()

    async def stop(self) -> None:
        """End it, by SIGTERM and in the end by SIGKILL."""
        if self._child is not None:
            await self._child.stop(self._ending)

    async def kill(self) -> None:
        """Kill it as a crash would."""
        assert self._child is not None
        await self._child.kill()
