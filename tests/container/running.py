"""Containers of the rehearsed image."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.image.build import Image
from scripts.image.room import first_process
from tests.support.processes import gone

START_SECONDS = 60.0


@dataclass
class Container:
    """A container that has been started."""

    image: Image
    name: str
    runner: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str]

    @property
    def pid(self) -> int:
        pid = first_process(self.runner)
        assert pid is not None, self.said()
        return pid

    def said(self) -> str:
        return self.log.read_text()

    async def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as a health check is run."""
        beside = self.image.room(self.environment).beside(self.pid, command)
        return await asyncio.to_thread(
            subprocess.run, beside, check=False, capture_output=True, text=True
        )

    async def until_healthy(self, question: str = "readyz") -> None:
        """Ask the image's health check until it says yes."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.runner.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            if first_process(self.runner) is not None:
                answer = await self.run(*self.image.health_check, question)
                if answer.returncode == 0:
                    return
            await asyncio.sleep(0.2)

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: " ".join(rest.split()) for name, _, rest in (x.partition(":") for x in lines)}

    async def stop(self, *, seconds: float) -> int:
        """Send the image's stop signal to the first process; return its exit code."""
        os.kill(self.pid, signal.Signals[self.image.stop_signal])
        await gone(self.runner.pid, seconds=seconds)
        return self.runner.wait()


@contextmanager
def container(
    image: Image,
    *command: str,
    environment: Mapping[str, str],
    volumes: Mapping[str, Path],
    log: Path,
) -> Iterator[Container]:
    """Start a container; it is killed if it still runs at the end."""
    assert image.user == "65534:65534"
    room = image.room(environment, volumes)
    with log.open("wb") as output:
        runner = subprocess.Popen(
            room.container([*image.entrypoint, *(command or image.command)]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Container(image, command[0], runner, log, dict(environment))
    finally:
        if runner.poll() is None:
            runner.kill()
            runner.wait()


def listing(tree: Path) -> dict[str, tuple[int, int, int]]:
    """Return every file of a tree with its size, time of change and owner."""
    found = {}
    for path in tree.rglob("*"):
        facts = path.lstat()
        found[str(path.relative_to(tree))] = (facts.st_size, facts.st_ctime_ns, facts.st_uid)
    return found


def lines(text: str) -> list[dict[str, object]]:
    """Return the log lines of a role."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
