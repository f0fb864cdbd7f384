"""A thousand hostile sockets cost less than 64 MiB, and others hardly notice."""

import asyncio
import statistics
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

HOST = b"Host: gateway\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n\r\n"
SOCKETS = 1000
MEGABYTE = 1024


class Measured:
    """The server in a process of its own."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    async def peak_kib(self):
        self.process.stdin.write(b"?\n")
        return int(await self.process.stdout.readline())

    async def ask(self):
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n" + bytes(500))
        assert (await reader.readline()).split()[1] == b"200"
        writer.transport.abort()
        return time.perf_counter() - began


@asynccontextmanager
async def measured():
    program = Path(__file__).with_name("slow_clients.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    line = await process.stdout.readline()
    while not line.strip().isdigit():
        line = await process.stdout.readline()
    try:
        yield Measured(process, int(line))
    finally:
        process.kill()
        await process.wait()


async def until_cut_off(port, beginning, more, *, pause=0.0):
    """Send for as long as the server lets us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(beginning)
        while not reader.at_eof():
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


ATTACKS = {
    "silent": (b"", b"", 1.0),
    "dripping head": (b"GET / HTTP/1.1\r\n" + HOST, b"X: y\r\n", 0.5),
    "dripping body": (b"POST / HTTP/1.1\r\n" + CHUNKED, b"1\r\ny\r\n", 0.5),
    "stalled body": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4000000\r\n\r\n" + bytes(3_500_000),
        b"",
        1.0,
    ),
    "endless head": (b"GET / HTTP/1.1\r\n" + HOST, b"X: " + b"y" * 1000 + b"\r\n", 0.0),
    "endless body": (b"POST / HTTP/1.1\r\n" + CHUNKED, b"FFFF\r\n" + b"y" * 65535 + b"\r\n", 0.0),
    "endless trailer": (b"POST / HTTP/1.1\r\n" + CHUNKED + b"0\r\n", b"X: yyyyyyyy\r\n" * 50, 0.0),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_hostile_sockets_cost_little(attack):
    beginning, more, pause = ATTACKS[attack]
    async with measured() as server:
        for _ in range(50):
            await server.ask()
        before = await server.peak_kib()
        async with asyncio.TaskGroup() as group:
            hostile = [
                group.create_task(until_cut_off(server.port, beginning, more, pause=pause))
                for _ in range(SOCKETS)
            ]
            waits = [await server.ask() for _ in range(40)]
            for task in hostile:
                task.cancel()
        grown = await server.peak_kib() - before
    # Shown by `-rP`.
    print(f"{attack}: {grown} KiB, median {statistics.median(waits) * 1000:.1f} ms")  # noqa: T201
    assert grown < 64 * MEGABYTE
