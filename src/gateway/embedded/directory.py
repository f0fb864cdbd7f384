"""A directory that one embedded server has to itself."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final, TextIO

from gateway.embedded.errors import EmbeddedError

_POLL_SECONDS: Final = 0.05
# Linux has it; elsewhere one asks ps.
_PROC: Final = Path("/proc")


class ServerDirectory:
    """Where a server keeps its data, log and process id, claimed by one process at a time.

    The claim is a file lock: it ends with the process that holds it, however that ends. Who has
    the claim may therefore end any server still at work here: it is left over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: TextIO | None = None

    @property
    def log(self) -> Path:
        """Where the server's output goes."""
        return self.path / "server.log"

    @property
    def _pid_file(self) -> Path:
        return self.path / "server.pid"

    async def claim(self, ending: signal.Signals, *, seconds: float) -> None:
        """Take the directory (made if need be) and end a server left over in it.

        Such a server gets the signal `ending`, and SIGKILL after `seconds`. Claiming again what
        this object holds does only the latter.

        Raises:
            EmbeddedError: another process holds the claim.
        """
        if self._lock is None:
            self._lock = self._take_lock()
        recorded = self._pid_file.read_text() if self._pid_file.exists() else ""
        if recorded.isdecimal():
            await end_left_over(int(recorded), str(self.path), ending, seconds=seconds)

    def _take_lock(self) -> TextIO:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a")
        except PermissionError as error:
            raise EmbeddedError(
                f"{error.filename} belongs to another user. Name another directory with"
                " --data-dir, or give that one up."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmbeddedError(
                f"{self.path} is in use by another process. End that one, or name another"
                " directory with --data-dir."
            ) from None
        return lock

    def begin_log(self) -> None:
        """Begin a new log; the one before it stays beside it."""
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".log.previous"))

    def record(self, pid: int) -> None:
        """Write down which process serves here, for whoever finds it left over."""
        self._pid_file.write_text(str(pid))

    def release(self) -> None:
        """Give the claim up; the server has ended."""
        self._pid_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def last_words(self) -> str:
        """Return the end of the log, for an error message."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])


async def end_left_over(
    pid: int, name: str, ending: signal.Signals, *, seconds: float = 10
) -> None:
    """End the process if its command line holds `name`; otherwise the number is another's by now.

    Waits until it is gone; kills it when that takes longer than `seconds`.

    Raises:
        EmbeddedError: it belongs to another user.
    """
    for number, patience in ((ending, seconds), (signal.SIGKILL, None)):
        if name not in command_line(pid):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise EmbeddedError(
                f"Process {pid} is left over and belongs to another user; end it and try again."
            ) from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await _gone(pid, name)


async def _gone(pid: int, name: str) -> None:
    while name in command_line(pid):  # noqa: ASYNC110 - only a parent is told when a process ends
        await asyncio.sleep(_POLL_SECONDS)


def command_line(pid: int) -> str:
    """Return how a process was started; empty where there is none or it has ended."""
    if (_PROC / "self" / "cmdline").exists():
        try:
            return (_PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    ps = shutil.which("ps") or "/bin/ps"
    return subprocess.run(  # noqa: S603 - a fixed program and a number
        [ps, "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
