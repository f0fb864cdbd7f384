"""An egress proxy as operators run one: tunnels by CONNECT, and forwards plain http.

It resolves every name to the loopback, writes down what it was asked, and refuses what it is told.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class ConnectProxy:
    """A proxy on the loopback."""

    def __init__(self, *, authorization: str | None = None) -> None:
        """Take what `Proxy-Authorization` has to be, if anything."""
        self.asked: list[str] = []
        self.denied: set[str] = set()
        self._authorization = authorization
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._exchange(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        self.asked.append(f"{method} {target}")
        fields = dict(line.split(": ", 1) for line in lines)
        if self._authorization is not None:
            given = {name.lower(): value for name, value in fields.items()}
            if given.get("proxy-authorization") != self._authorization:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if url.hostname in self.denied:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        onward, answer = await asyncio.open_connection("127.0.0.1", url.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            rest = "\r\n".join([f"{method} {url.path} HTTP/1.1", *lines])
            answer.write(f"{rest}\r\n\r\n".encode("latin-1"))
        try:
            await asyncio.gather(_pump(reader, answer), _pump(onward, writer))
        finally:
            answer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
