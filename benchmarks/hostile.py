"""The ingress with a thousand hostile sockets, beside what well-behaved webhooks wait.

The ingress is alone on core 0; broker, database, attackers and who asks are on core 1. The webhooks
come one after another, 50 a second, so that their wait is the server's and not a queue's; calm and
attack alternate, so that a drift of the machine's speed meets both. Slow sockets are what a server
must stand; what is endless and comes back at once is a flood, which costs the core its share.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import httpx

from benchmarks.attack import attacks
from benchmarks.figures import record
from benchmarks.stage import OTHER_CORE, Role, Stage, peak_mebibytes, pin, stage
from benchmarks.webhooks import messages
from gateway.embedded import Program

_ROOT: Final = Path(__file__).resolve().parent.parent
_ROUNDS: Final = 2
_ASKED: Final = 200
_PAUSE: Final = 0.02
_OPEN_SECONDS: Final = 20.0
_OK: Final = 200


def main() -> None:
    """Measure every attack."""
    asyncio.run(_measure())


async def _measure() -> None:
    async with stage() as here:
        for kind in attacks("/"):
            # Each in a fresh process: memory is judged by its peak.
            async with here.role("api") as role, _asking(here, role) as asker:
                await asker.waits()
                before = peak_mebibytes(role.pid)
                calm, under = [], []
                for _ in range(_ROUNDS):
                    calm += await asker.waits()
                    async with _attack(here, role, kind, asker.path):
                        under += await asker.waits()
                _tell(kind, calm, under, peak_mebibytes(role.pid) - before)


def _tell(kind: str, calm: list[float], under: list[float], grown: float) -> None:
    prefix = f"hostile.{kind}"
    before, during = (quantiles(waits, n=100)[98] * 1000 for waits in (calm, under))
    record(f"{prefix}.calm.p50", median(calm) * 1000, "ms")
    record(f"{prefix}.calm.p99", before, "ms")
    record(f"{prefix}.p50", median(under) * 1000, "ms")
    record(f"{prefix}.p99", during, "ms")
    record(f"{prefix}.ratio.p99", during / before, "ratio")
    record(f"{prefix}.memory_more", grown, "MiB")


class _Asker:
    """Posts webhooks as Meta does, each on a connection that is open already."""

    def __init__(self, client: httpx.AsyncClient, here: Stage) -> None:
        self._client = client
        self._secret = here.identity.app_secret.encode()
        self._bodies = iter(messages(_ASKED * (2 * _ROUNDS + 1)))
        self.path = f"/webhooks/meta/{here.identity.app_id}"

    async def waits(self) -> list[float]:
        """Return what each of the next webhooks waited, in seconds."""
        return [await self._ask() for _ in range(_ASKED)]

    async def _ask(self) -> float:
        body = next(self._bodies)
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}"}
        began = time.perf_counter()
        answer = await self._client.post(self.path, content=body, headers=headers)
        waited = time.perf_counter() - began
        if answer.status_code != _OK:
            raise RuntimeError(f"A webhook was answered {answer.status_code}.")
        await asyncio.sleep(_PAUSE)
        return waited


@contextlib.asynccontextmanager
async def _asking(here: Stage, role: Role) -> AsyncIterator[_Asker]:
    app = here.identity
    with pin(OTHER_CORE):
        async with httpx.AsyncClient(trust_env=False, base_url=role.url, timeout=30) as client:
            answer = await client.post(
                "/v1/meta-apps",
                headers={"Authorization": f"Bearer {app.admin_key}"},
                json={
                    "app_id": app.app_id,
                    "name": "Load",
                    "app_secrets": [app.app_secret],
                    "verify_token": app.verify_token,
                },
            )
            if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
                raise RuntimeError(json.dumps(answer.json()))
            yield _Asker(client, here)


@contextlib.asynccontextmanager
async def _attack(here: Stage, role: Role, kind: str, path: str) -> AsyncIterator[None]:
    log = here.directory / f"attack-{kind}.log"
    log.unlink(missing_ok=True)
    program = Program(
        [sys.executable, "-m", "benchmarks.attack", str(role.port), kind, path],
        env={"PYTHONPATH": str(_ROOT / "src")},
        cwd=_ROOT,
        output=log,
    )
    with pin(OTHER_CORE):
        await program.start()
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            while "open" not in log.read_text():  # noqa: ASYNC110 - another process says it
                await asyncio.sleep(0.05)
        yield
    finally:
        await program.stop()
