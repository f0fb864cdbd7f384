"""A `gateway dev` of a test's own, with traffic through it and somebody who strikes at it."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.e2e.stack import Gateway, start, stop
from tests.faults.blows import Blows
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.faults.totals import KEPT
from tests.faults.traffic import Plan, Traffic


@dataclass(frozen=True)
class Drill:
    name: str
    deployment: Deployment
    ledger: Ledger
    traffic: Traffic
    blows: Blows

    async def run(
        self, strike: Callable[[asyncio.Event], Awaitable[None]], *, webhooks: int
    ) -> None:
        """Let somebody strike while people write; return when all is answered and heard."""
        over = asyncio.Event()

        async def write() -> None:
            try:
                await self.traffic.run(webhooks=webhooks, written=over)
            finally:
                over.set()

        async def hit() -> None:
            await strike(over)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(hit())


@asynccontextmanager
async def drill(name: str, plan: Plan) -> AsyncIterator[Drill]:
    """Start everything; the people of the plan are there, and nobody has written yet.

    What was written down and what the roles said is kept in `build/faults/<name>` when it fails.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gateway-drill-") as scratch,
        closing(Ledger(Path(scratch) / "ledger.jsonl")) as ledger,
    ):
        directory = Path(scratch)
        # PostgreSQL runs as a user of its own.
        directory.chmod(0o711)
        process = await asyncio.to_thread(start, directory, "--no-demo")
        try:
            async with httpx.AsyncClient() as client:
                gateway = Gateway(directory, process, client, client)
                deployment = Deployment.of(gateway.description)
                traffic = Traffic(deployment, ledger, plan)
                await traffic.prepare()
                blows = Blows(
                    deployment,
                    ledger,
                    gateway.pid,
                    lambda role: str(gateway.description["ops_urls"][role]),
                    random.Random(plan.seed),
                )
                yield Drill(name, deployment, ledger, traffic, blows)
        except BaseException:
            _keep(directory, KEPT / name)
            raise
        finally:
            assert await asyncio.to_thread(stop, process) == 0


def _keep(directory: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(directory / "logs", place)
    shutil.copy(directory / "ledger.jsonl", place)
