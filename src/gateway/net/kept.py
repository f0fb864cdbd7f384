"""Connections to one place, kept while they may be used again, the last one first.

httpcore's own pool looks at all its connections at every request, and at each of them again for
every idle one: with some hundred connections it does little else. Who calls through here has had
its turn already, so nothing has to be queued and the last idle connection will do.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpcore

from gateway.net.lean import MAX_IDLE

Connect = Callable[[], httpcore.AsyncConnectionInterface]


class KeptConnections:
    """Connections that `connect` makes; there may be as many at once as are asked for."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: deque[httpcore.AsyncConnectionInterface] = deque()

    @asynccontextmanager
    async def exchange(self, request: httpcore.Request) -> AsyncIterator[httpcore.Response]:
        """Send a request and give its answer, whose body is still to be read.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: Nothing left.
            httpcore.NetworkError, httpcore.ProtocolError: The request left, wholly or partly.
        """
        connection = await self._take()
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            # Available is only a connection whose last answer was read to its end.
            if connection.is_available() and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                await connection.aclose()

    async def aclose(self) -> None:
        """Close those that are idle."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _take(self) -> httpcore.AsyncConnectionInterface:
        # The oldest go first: what has not been used for a while is not needed.
        while self._idle and self._idle[0].has_expired():
            await self._idle.popleft().aclose()
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return self._connect()
