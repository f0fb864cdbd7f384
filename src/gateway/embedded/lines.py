"""What a program says, line by line."""

import asyncio
import os
from collections.abc import Callable
from typing import Final, Self

# Longest line that is passed on.
_LINE_BYTES: Final = 1024 * 1024


class LinePipe:
    """A pipe that a program writes to and we read from."""

    def __init__(
        self, sink: int, reader: asyncio.StreamReader, transport: asyncio.ReadTransport
    ) -> None:
        self.sink = sink
        """The descriptor to hand to the program; close it here once the program has it."""
        self._reader = reader
        self._transport = transport

    @classmethod
    async def open(cls) -> Self:
        """Make a pipe."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LINE_BYTES)
        source, sink = os.pipe()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
        )
        return cls(sink, reader, transport)

    async def pass_on(self, show: Callable[[str], None]) -> None:
        """Show every line until nobody can write any more."""
        try:
            while line := await self.next():
                show(line.decode(errors="replace").rstrip("\r\n"))
        finally:
            self.close()

    async def next(self) -> bytes:
        """Return the next line, its end included; nothing, when nobody can write any more."""
        while True:
            try:
                return await self._reader.readline()
            except ValueError:
                # Longer than any line we mean to show; the reader has dropped what it had of it.
                continue

    def close(self) -> None:
        """Read no more."""
        self._transport.close()
