"""The sandbox as a process of its own."""

import asyncio
import signal
import sys

import httpx
import pytest
from tests.support.sandbox import PATIENCE

pytestmark = pytest.mark.integration

PROGRAM = """
from gateway.sandbox.server import run
from gateway.sandbox.settings import SandboxSettings
run(SandboxSettings(port=0), on_ready=lambda address: print(address, flush=True))
print("closed")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_tells_its_address_and_stops_when_told(number: signal.Signals):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            address = (await process.stdout.readline()).decode().strip()
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            body = {"page_id": "1", "access_token": "T", "name": "P"}
            assert (await client.post("/control/pages", json=body)).status_code == 200
            fault = {"call": "page", "mode": "hang"}
            assert (await client.post("/control/faults", json=fault)).status_code == 200
            async with (
                client.stream("GET", "/chat/1/stream?visitor=2") as stream,
                asyncio.TaskGroup() as group,
            ):
                await anext(stream.aiter_lines())
                hung = group.create_task(_hang(client))
                while not (await client.get("/control/journal")).json()["data"]:
                    continue
                process.send_signal(number)
                async with asyncio.timeout(PATIENCE):
                    rest = await process.stdout.read()
                    assert await process.wait() == 0
            assert rest == b"closed\n"
            assert hung.result()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _hang(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/v26.0/me", headers={"Authorization": "Bearer T"})
    except httpx.HTTPError:
        return True
    return answer.status_code == 500
