"""A process from its start to its end: readiness, signals, failures, what it leaves behind."""

import asyncio
import json
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.db.secrets import generate_key
from gateway.embedded.ports import free_port

PROGRAM = Path(__file__).with_name("a_role.py")


class Role:
    def __init__(self, process, port):
        self.process = process
        self.ops = f"http://127.0.0.1:{port}"
        self.lines = []

    async def until_ready(self):
        async with httpx.AsyncClient() as client, asyncio.timeout(30):
            while True:
                try:
                    answer = await client.get(f"{self.ops}/readyz")
                except httpx.TransportError:
                    pass
                else:
                    if answer.status_code == 200:
                        return answer.json()
                await asyncio.sleep(0.05)

    async def said(self, event):
        """Wait for a log line."""
        async with asyncio.timeout(20):
            while True:
                line = json.loads(await self.process.stdout.readline())
                self.lines.append(line)
                if line["event"] == event:
                    return line

    async def ended(self, seconds):
        began = time.monotonic()
        async with asyncio.timeout(20):
            output, errors = await self.process.communicate()
        assert time.monotonic() - began < seconds
        self.lines += [json.loads(line) for line in output.splitlines()]
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def role(database_url, conduct, **environment):
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        conduct,
        env={
            "DATABASE_URL": database_url,
            "ENCRYPTION_KEYS": generate_key("k1"),
            "OPS_PORT": str(port),
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Role(process, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def query(database_url, statement):
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        found = (await connection.execute(text(statement))).scalar_one()
    await engine.dispose()
    return found


HELD = "SELECT count(*) FROM shards WHERE role = 'sender' AND owner IS NOT NULL"


async def test_a_process_is_alive_then_ready_and_tells_its_metrics(database_url):
    async with role(database_url, "works") as process:
        document = await process.until_ready()
        assert document["status"] == "ready"
        assert set(document["checks"].values()) == {"ok"}
        assert {"database", "clock", "schema", "started", "not-stopping"} <= set(document["checks"])
        async with httpx.AsyncClient(base_url=process.ops) as client:
            assert (await client.get("/livez")).json() == {"status": "alive"}
            assert "gateway_ready 1.0" in (await client.get("/metrics")).text
            elsewhere = await client.get("/")
            assert elsewhere.status_code == 404
            assert elsewhere.headers["content-type"] == "application/problem+json"
            refused = await client.post("/livez")
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_a_process_waits_for_the_schema_and_says_so(empty_database_url):
    async with role(empty_database_url, "works") as process:
        line = await process.said("schema.too_old")
        assert line["level"] == "warning"
        async with httpx.AsyncClient(base_url=process.ops) as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["schema"] == "failed"
            assert (await client.get("/livez")).status_code == 200


async def test_a_signal_drains_and_leaves_nothing_behind(database_url):
    async with role(database_url, "drains") as process:
        await process.until_ready()
        await process.said("leases.gained")
        assert await query(database_url, HELD) == 256
        process.process.send_signal(signal.SIGTERM)
        await process.said("draining")
        async with httpx.AsyncClient(base_url=process.ops) as client:
            answer = await client.get("/readyz")
            assert answer.json()["checks"]["not-stopping"] == "failed"
        code, _ = await process.ended(5)
        assert code == 0
        assert "drained" in [line["event"] for line in process.lines]
    assert await query(database_url, HELD) == 0
    assert await query(database_url, "SELECT count(*) FROM processes") == 0


async def test_a_drain_that_takes_too_long_is_cut_off(database_url):
    async with role(database_url, "slow", DRAIN_SECONDS="1") as process:
        await process.until_ready()
        process.process.send_signal(signal.SIGTERM)
        code, _ = await process.ended(5)
        assert code == 0
        assert "process.step_timed_out" in [line["event"] for line in process.lines]
    assert await query(database_url, HELD) == 0


async def test_a_part_that_does_not_end_is_ended_with_the_process(database_url):
    async with role(database_url, "stubborn", DRAIN_SECONDS="1") as process:
        await process.until_ready()
        process.process.send_signal(signal.SIGTERM)
        code, errors = await process.ended(11)
        assert code == 1
        assert "Timeout" in errors


async def test_the_second_signal_ends_at_once(database_url):
    async with role(database_url, "slow") as process:
        await process.until_ready()
        process.process.send_signal(signal.SIGINT)
        await process.said("draining")
        process.process.send_signal(signal.SIGINT)
        code, _ = await process.ended(1)
        assert code == 130


@pytest.mark.parametrize("conduct", ["fails", "ends"])
async def test_a_part_that_ends_by_itself_ends_the_process_in_order(database_url, conduct):
    async with role(database_url, conduct) as process:
        code, _ = await process.ended(10)
        assert code == 1
        events = [line["event"] for line in process.lines]
        assert "process.part_failed" in events
        assert "EAA" not in json.dumps(process.lines)
    assert await query(database_url, HELD) == 0


async def test_an_unusable_key_is_said_in_a_sentence(database_url):
    async with role(database_url, "works", ENCRYPTION_KEYS="nonsense") as process:
        async with asyncio.timeout(20):
            _, errors = await process.process.communicate()
        assert process.process.returncode == 1
        assert errors.decode().startswith("ENCRYPTION_KEYS must read")


async def test_a_port_that_is_taken_ends_the_process(database_url):
    async with role(database_url, "works") as first:
        await first.until_ready()
        port = first.ops.rpartition(":")[2]
        async with role(database_url, "works", OPS_PORT=port) as second:
            code, _ = await second.ended(10)
            assert code == 1
            (line,) = [each for each in second.lines if each["event"] == "process.part_failed"]
            assert line["why"].startswith("Address already in use")
