"""A local HTTP endpoint that records what it gets and misbehaves on request.

It speaks HTTP/1.1 by hand, so that it can lie where a server library would not let it.

    async with Receiver() as receiver:
        receiver.then(misbehave.respond(503), misbehave.reset)
        receiver.always(misbehave.respond(200))
        … code that POSTs to receiver.url …
        first, second, third = await receiver.wait_for(3)
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

_WAIT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    """Which connection it came on, counted from 0."""
    at: float
    """The loop's time when it was complete."""

    def header(self, name: str) -> str | None:
        """Return a header's only value, or None; several are a mistake of the sender's."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the wire to answer it on; who closes the writer ends the connection."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


Behaviour = Callable[[Exchange], Awaitable[None]]


async def accept(exchange: Exchange) -> None:
    """Answer 200 with an empty body."""
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class Receiver:
    """Answers each request by the next of its behaviours, and by the usual one after the last."""

    def __init__(self, behaviour: Behaviour = accept, *, path: str = "/hook") -> None:
        self.requests: list[Request] = []
        self.open_connections = 0
        self._usual = behaviour
        self._next: deque[Behaviour] = deque()
        self._path = path
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def then(self, *behaviours: Behaviour) -> None:
        """Answer the coming requests so, one each."""
        self._next.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """Answer so whatever `then` says nothing of."""
        self._usual = behaviour

    async def wait_for(self, count: int, *, seconds: float = _WAIT_SECONDS) -> list[Request]:
        """Return the first `count` requests, once there are so many.

        Raises:
            TimeoutError: there were not within `seconds`.
        """
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[:count]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection, self._connections = self._connections, self._connections + 1
        self.open_connections += 1
        try:
            # A sender that goes away is part of the play.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    await self._exchange(reader, writer, connection)
                    await writer.drain()
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        request = await _read_request(reader, connection)
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        behaviour = self._next.popleft() if self._next else self._usual
        await behaviour(Exchange(request, reader, writer))


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = head[0].split(" ")
    headers = tuple(
        (name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])
    )
    by_name = {name.lower(): value for name, value in headers}
    if by_name.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(by_name.get("content-length", "0")))
    now = asyncio.get_running_loop().time()
    return Request(method, target, headers, body, connection, now)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
