"""Processes that are not ours to wait for."""

import asyncio
import os
import signal
import sys
from pathlib import Path

_SECONDS = 10.0


async def gone(pid: int, *, seconds: float = _SECONDS) -> None:
    """Wait until a process has ended, whoever its parent is.

    Raises:
        TimeoutError: it has not within `seconds`.
    """
    assert sys.platform == "linux"
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(part) for part in text.split()]


def freeze(pid: int) -> None:
    """Stop a process and return when every thread of it stands: the signal itself does not wait."""
    os.kill(pid, signal.SIGSTOP)
    while not all(_stands(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        os.sched_yield()


def _stands(thread: Path) -> bool:
    # The state follows the name, which may hold anything, in parentheses.
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
