"""`gateway dev` brings back whatever dies, and leaves nothing behind, however it ends itself."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.stack import SECONDS, Gateway, start
from tests.support.processes import children, gone

pytestmark = pytest.mark.faults

_PARTS = ("postgres", "kafka", "sandbox", "api", "routing", "sender")


async def test_whatever_is_killed_comes_back_and_nothing_outlives_the_whole() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-supervised-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        process = await asyncio.to_thread(start, directory, "--no-demo")
        try:
            async with httpx.AsyncClient() as client:
                gateway = Gateway(directory, process, client, client)
                before = {part: gateway.pid(part) for part in _PARTS}
                for part in _PARTS:
                    gateway.signal(part, signal.SIGKILL)
                await _all_are_back(gateway, before)
                await _serves(gateway)
            described = gateway.description["pids"].values()
            everything = {pid for each in described for pid in _tree(int(each))}
        finally:
            process.kill()
            process.wait()
        for pid in everything:
            await gone(pid)


async def _all_are_back(gateway: Gateway, before: dict[str, int]) -> None:
    deadline = time.monotonic() + SECONDS
    # Who is away at the moment is not in the description.
    while any(
        (now := gateway.description["pids"]).get(part, pid) == pid for part, pid in before.items()
    ):
        assert time.monotonic() < deadline, now
        await asyncio.sleep(0.05)


async def _serves(gateway: Gateway) -> None:
    description = gateway.description
    async with (
        httpx.AsyncClient(base_url=description["api_url"], timeout=SECONDS) as api,
        httpx.AsyncClient(base_url=description["sandbox_url"], timeout=SECONDS) as sandbox,
    ):
        whole = Gateway(gateway.directory, gateway.process, api, sandbox)
        deadline = time.monotonic() + 2 * SECONDS
        while not await _ready(description):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        # The sandbox has forgotten everything; who starts anew is served.
        tenant = await whole.tenant()
        page = await tenant.page()
        await page.conversation("after all that")


async def _ready(description: dict[str, Any]) -> bool:
    addresses = [f"{address}/readyz" for address in description["ops_urls"].values()]
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        for address in (*addresses, f"{description['sandbox_url']}/control/pages"):
            try:
                answer = await client.get(address)
            except httpx.TransportError:
                return False
            if answer.status_code != httpx.codes.OK:
                return False
    return True


def _tree(pid: int) -> list[int]:
    try:
        return [pid, *(each for child in children(pid) for each in _tree(child))]
    except (FileNotFoundError, ProcessLookupError):
        return [pid]
