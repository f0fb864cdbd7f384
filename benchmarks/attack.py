"""Holds a thousand hostile sockets open to a server: `python -m benchmarks.attack PORT KIND PATH`.

What is cut off comes again at once. It runs until it is ended, and says on its standard output when
all sockets have been opened once.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

import uvloop

SOCKETS: Final = 1000
_HOST: Final = b"Host: gateway\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Attack:
    """What each socket sends at first, what again and again, and how many seconds are between."""

    beginning: bytes
    more: bytes
    pause: float


def attacks(path: str) -> dict[str, Attack]:
    """Return all attacks by name; those with a pause are slow, the others as fast as they can."""
    get = f"GET {path} HTTP/1.1\r\n".encode() + _HOST
    post = f"POST {path} HTTP/1.1\r\n".encode() + _HOST
    stalled = post + b"Content-Length: 4000000\r\n\r\n" + bytes(64 * 1024)
    return {
        "silent": Attack(b"", b"", 1.0),
        "slow_heads": Attack(get, b"X: y\r\n", 0.5),
        "slow_bodies": Attack(post + _CHUNKED, b"1\r\ny\r\n", 0.5),
        "slow_trailers": Attack(post + _CHUNKED + b"0\r\n", b"X: y\r\n", 0.5),
        "stalled_bodies": Attack(stalled, b"", 1.0),
        "endless_heads": Attack(get, b"X: yyyyyyyy\r\n" * 100, 0.0),
        "endless_bodies": Attack(post + _CHUNKED, b"FFFF\r\n" + bytes(65535) + b"\r\n", 0.0),
        "endless_trailers": Attack(post + _CHUNKED + b"0\r\n", b"X: yyyyyyyy\r\n" * 100, 0.0),
    }


async def _keep_on(port: int, attack: Attack, opened: asyncio.Semaphore) -> None:
    first = True
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        if first:
            opened.release()
            first = False
        try:
            writer.write(attack.beginning)
            while not reader.at_eof():
                writer.write(attack.more)
                await writer.drain()
                await asyncio.sleep(attack.pause)
        except OSError:
            pass
        finally:
            writer.transport.abort()


async def _main(port: int, kind: str, path: str) -> None:
    attack = attacks(path)[kind]
    opened = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for _ in range(SOCKETS):
            group.create_task(_keep_on(port, attack, opened))
        for _ in range(SOCKETS):
            await opened.acquire()
        print("open", flush=True)


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
