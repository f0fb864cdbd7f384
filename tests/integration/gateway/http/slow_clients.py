"""Serves until its standard input ends; the measured half of `test_slow_clients`."""

import asyncio
import sys
from pathlib import Path

import uvloop

from gateway.http.guard import Limits
from gateway.http.server import HttpServer

BODY_BYTES = 4 * 1024 * 1024


async def app(scope, receive, send):
    chunks = []
    size = 0
    status = 200
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        chunks.append(message["body"])
        size += len(message["body"])
        if size > BODY_BYTES:
            status = 413
            break
        if not message["more_body"]:
            break
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def main():
    server = HttpServer(app, host="127.0.0.1", port=0, limits=Limits())
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        await server.listening()
        print(server.port, flush=True)  # noqa: T201 - how the test learns of it
        await asyncio.to_thread(answer_questions)
        await server.stop()


def answer_questions():
    """Tell the resident memory, in KiB, for each line asked."""
    for _ in sys.stdin:
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        print(line.split()[1], flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    uvloop.run(main())
