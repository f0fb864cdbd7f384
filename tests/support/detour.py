"""A way to a server on which everything can be swallowed, as a firewall does that forgot it."""

import asyncio
from contextlib import suppress
from typing import Final

_PIECE: Final = 2**16


class Detour:
    """Carries connections to a port on this machine.

    Use it in one event loop: `port = await detour.open()`, then `forget_all` as often as wanted,
    then `close`.
    """

    def __init__(self, port: int) -> None:
        """Describe the way to a port."""
        self._port = port
        # False: who ends a connection is not known at the other end; what it said last is.
        self.tells_of_ends = True
        self._carrying: set[asyncio.Task[None]] = set()
        self._kept: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Return the port by which to go."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def forget_all(self) -> int:
        """Carry nothing any more on connections that are there; return how many those are.

        Neither end is told: both stay connected, and never hear anything again. What is connected
        afterwards is carried.
        """
        forgotten = list(self._carrying)
        for task in forgotten:
            task.cancel()
        await asyncio.gather(*forgotten, return_exceptions=True)
        return len(forgotten)

    async def close(self) -> None:
        """End it, and every connection."""
        if self._server is not None:
            self._server.close()
        await self.forget_all()
        for writer in self._kept:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying = asyncio.current_task()
        assert carrying is not None
        self._carrying.add(carrying)
        there, server = await asyncio.open_connection("127.0.0.1", self._port)
        self._kept += [writer, server]
        # Who is told to forget ends in silence.
        with suppress(OSError, asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, server))
                group.create_task(self._pass_on(there, writer))
        self._carrying.discard(carrying)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
        # Each direction ends by itself, as TCP's do.
        if self.tells_of_ends:
            target.write_eof()
