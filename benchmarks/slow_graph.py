"""A Graph that takes its time over each send and remembers what it was sent.

    python -m benchmarks.slow_graph PORT MILLISECONDS

`POST` anything: an answer of Graph's Send API, so many milliseconds later. `GET` anything: an empty
object, which is what Graph says of somebody whose name it does not tell. `GET /journal`: every
send, in the order of arrival, as `[seconds, recipient, metadata, text]`, with the machine's
monotonic clock. `POST /hang` with a JSON list of Pages: theirs are not answered until `POST /heal`.
`POST /hook…` is an endpoint, whose calls are only counted: `GET /hooks`. One small protocol and no
framework, so that it costs next to nothing beside what is measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, cast

import uvloop

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class SlowGraph:
    """What all connections share."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.arrivals: list[tuple[float, bytes]] = []
        self.hooks = 0
        self._hanging: set[str] = set()
        self._unanswered: list[Callable[[], None]] = []

    def journal(self) -> bytes:
        """Return all sends as JSON."""
        rows = []
        for at, raw in self.arrivals:
            body = json.loads(raw)
            message = body.get("message") or {}
            rows.append((at, body["recipient"]["id"], message.get("metadata"), message.get("text")))
        return json.dumps(rows).encode()

    def hang(self, pages: Collection[str]) -> None:
        """Answer these Pages' calls no more."""
        self._hanging = set(pages)

    def heal(self) -> None:
        """Answer all, and what was left."""
        self._hanging = set()
        unanswered, self._unanswered = self._unanswered, []
        for answer in unanswered:
            answer()

    def later(self, path: str, answer: Callable[[], None]) -> None:
        """Answer a call in its time."""
        if self._hanging and path.split("/")[2] in self._hanging:
            self._unanswered.append(answer)
        else:
            asyncio.get_running_loop().call_later(self.seconds, answer)


class _Connection(asyncio.Protocol):
    def __init__(self, graph: SlowGraph) -> None:
        self._graph = graph
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(_HEAD_END)) >= 0:
            head = bytes(self._received[:head_end])
            body_at = head_end + len(_HEAD_END)
            end = body_at + _content_length(head)
            if len(self._received) < end:
                return
            body = bytes(self._received[body_at:end])
            del self._received[:end]
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.decode("latin-1").split(" ", 2)
        graph = self._graph
        if path == "/journal":
            self._answer(graph.journal())
        elif path == "/hooks":
            self._answer(b"%d" % graph.hooks)
        elif path == "/hang":
            graph.hang(json.loads(body))
            self._answer(b"{}")
        elif path == "/heal":
            graph.heal()
            self._answer(b"{}")
        elif path.startswith("/hook"):
            graph.hooks += 1
            asyncio.get_running_loop().call_later(graph.seconds, self._answer, b"{}")
        elif method == "GET":
            graph.later(path, partial(self._answer, b"{}"))
        else:
            graph.arrivals.append((time.monotonic(), body))
            answer = b'{"recipient_id":"1","message_id":"m_%d"}' % len(graph.arrivals)
            graph.later(path, partial(self._answer, answer))

    def _answer(self, body: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


def _content_length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)), 0)


async def _serve(port: int, seconds: float) -> None:
    graph = SlowGraph(seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(graph), "127.0.0.1", port, backlog=2000)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
