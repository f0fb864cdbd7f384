"""Processes that are not ours to wait for."""

import asyncio
import os
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
