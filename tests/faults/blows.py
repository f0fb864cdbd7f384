"""Strikes at the processes of a running gateway, and how it gets up again. All is written down."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import httpx
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.support.processes import freeze

_LOOK_SECONDS = 0.05
_IN_FLIGHT = """
    SELECT message_id, attempt FROM deliveries WHERE status = 'sending' AND kind = 'message'
"""


@dataclass
class Blows:
    """Kills and freezes roles by name.

    `pid` tells a role's process of the moment, `ops_url` where it says whether it is ready.
    """

    deployment: Deployment
    ledger: Ledger
    pid: Callable[[str], int]
    ops_url: Callable[[str], str]
    chance: random.Random = field(default_factory=random.Random)

    async def kill(self, role: str) -> None:
        """Kill a role and return when it is back and ready."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        struck = time.monotonic()
        await self._note("kill", role, pid)
        await self._ready_again(role, pid, struck)

    async def freeze(self, role: str, seconds: float) -> None:
        """Let a role stand still for so long and return when it is ready again."""
        pid = self.pid(role)
        freeze(pid)
        await self._note("freeze", role, pid)
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        await self._ready_again(role, None, time.monotonic())

    async def kill_at_random(
        self, roles: Sequence[str], *, every: float, until: asyncio.Event
    ) -> None:
        """Kill a role about every so many seconds until the event, all of them equally often."""
        coming: list[str] = []
        while not until.is_set():
            try:
                async with asyncio.timeout(every * self.chance.uniform(0.5, 1.5)):
                    await until.wait()
            except TimeoutError:
                coming = coming or self.chance.sample(roles, len(roles))
                await self.kill(coming.pop())

    async def _note(self, blow: str, role: str, pid: int) -> None:
        in_flight: list[list[object]] = []
        if role == "sender":
            connection = await asyncpg.connect(self.deployment.postgres_dsn)
            try:
                in_flight = [list(row) for row in await connection.fetch(_IN_FLIGHT)]
            finally:
                await connection.close()
        self.ledger.note("blow", blow=blow, role=role, pid=pid, in_flight=in_flight)

    async def _ready_again(self, role: str, dead: int | None, struck: float) -> None:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while True:
                if await self._is_ready(client, role, dead):
                    break
                await asyncio.sleep(_LOOK_SECONDS)
        self.ledger.note("back", role=role, seconds=round(time.monotonic() - struck, 3))

    async def _is_ready(self, client: httpx.AsyncClient, role: str, dead: int | None) -> bool:
        try:
            if self.pid(role) == dead:
                return False
            answer = await client.get(f"{self.ops_url(role)}/readyz")
        except (httpx.HTTPError, OSError, KeyError):
            return False
        return answer.status_code == httpx.codes.OK
