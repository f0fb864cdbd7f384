"""What the load of the ingress's benchmark goes to, and one measurement of it."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks import webhooks, wrk
from benchmarks.stage import OTHER_CORE, ROLE_CORE, Stage, busy_seconds, cpu_seconds, pin
from gateway.embedded import Program
from gateway.embedded.ports import free_port

# More than the ingress answers, so that no webhook is sent to it twice. The bare application may
# have one again, and does not notice.
_MOST_A_SECOND: Final = 16_000
_ROOT: Final = Path(__file__).resolve().parent.parent
_POLL_SECONDS: Final = 0.05
_START_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under load."""

    pid: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One measurement; CPU in microseconds a request, `core_1` the share of it that was busy."""

    load: wrk.Load
    cpu: float
    broker_cpu: float
    core_1: float


class Targets:
    """Servers on a stage, and webhooks that fit its Meta app."""

    def __init__(self, here: Stage) -> None:
        self.here = here
        self._files = count()

    @property
    def _secret(self) -> str:
        return self.here.identity.app_secret

    def requests(
        self,
        seconds: int,
        *,
        pages: Sequence[str] = (webhooks.PAGE,),
        contacts: int = webhooks.CONTACTS,
    ) -> Path:
        """Prepare more distinct webhooks than can be sent in so many seconds."""
        file = self.here.directory / f"requests-{next(self._files)}"
        number = seconds * _MOST_A_SECOND
        bodies = list(webhooks.messages(number, pages=pages, contacts=contacts))
        wrk.write_requests(file, bodies, self._secret.encode())
        return file

    @contextlib.asynccontextmanager
    async def bare(self, parser: str) -> AsyncIterator[Target]:
        """Run the bare application on core 0 while the block runs."""
        port = free_port()
        program = Program(
            [sys.executable, "-m", "benchmarks.bare", str(port), parser, self._secret],
            env={"PYTHONPATH": str(_ROOT / "src")},
            cwd=_ROOT,
            output=self.here.directory / "bare.log",
        )
        with pin(ROLE_CORE):
            await program.start()
        try:
            await _until_listening(port)
            assert program.pid is not None
            yield Target(pid=program.pid, url=f"http://127.0.0.1:{port}/")
        finally:
            await program.stop()

    async def round(self, target: Target, requests: Path, *, seconds: int) -> Round:
        """Load a target for so long.

        Raises:
            RuntimeError: Something was answered with another status than 200, or not at all.
        """
        broker = self.here.kafka.pid
        assert broker is not None

        def clocks() -> list[float]:
            other = busy_seconds(OTHER_CORE)
            return [cpu_seconds(target.pid), cpu_seconds(broker), other, time.monotonic()]

        before = clocks()
        load = await wrk.load(target.url, requests, seconds=seconds)
        spent = [end - start for start, end in zip(before, clocks(), strict=True)]
        requests.unlink()
        if load.refused or load.failed:
            raise RuntimeError(f"Not every request was answered with 200: {load}")
        return Round(
            load=load,
            cpu=spent[0] / load.requests * 1e6,
            broker_cpu=spent[1] / load.requests * 1e6,
            core_1=spent[2] / spent[3],
        )


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(_POLL_SECONDS)
