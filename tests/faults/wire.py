"""HTTP requests that cost who sends them little, over connections that are kept or new."""

import asyncio
import re
from collections import deque
from typing import Final
from urllib.parse import urlsplit

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_LAST: Final = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wire:
    """Connections to one server. Those that are kept are used in turn."""

    def __init__(self, address: str, *, kept: int) -> None:
        """Describe connections to the server at `http://host:port`, so many of them kept."""
        place = urlsplit(address)
        self._place = place.hostname, place.port
        self._kept: deque[_Line | None] = deque([None] * kept)

    async def ask(self, request: bytes, *, kept: bool) -> int:
        """Send a whole request and return the status of its answer.

        Raises:
            OSError: The connection could not be made, or broke.
            asyncio.IncompleteReadError: It ended before the answer did.
        """
        spare = self._kept.popleft() if kept and self._kept else None
        reader, writer = await self._line(spare)
        again = False
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            again = kept and not _LAST.search(head)
        finally:
            if again:
                self._kept.append((reader, writer))
            else:
                writer.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close what is kept."""
        for line in self._kept:
            if line is not None:
                line[1].close()

    async def _line(self, spare: _Line | None) -> _Line:
        if spare is not None:
            reader, writer = spare
            # Whoever keeps a connection looks whether it was closed meanwhile.
            if not (reader.at_eof() or writer.is_closing()):
                return spare
            writer.close()
        return await asyncio.open_connection(*self._place)
