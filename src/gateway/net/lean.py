"""HTTP/1.1 connections that do little: one buffer out, one answer in, no stream in between.

httpcore asks its backend, the event loop and a lock several times for each request; here a request
is one write, and an answer is parsed as its bytes come. Whoever calls holds a connection alone, and
sets the time that the exchange may take.
"""

import asyncio
import math
import select
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

import zttp

from gateway.net.dialling import Dial, dial

KEEPALIVE_SECONDS: Final = 15.0
# Of one origin.
MAX_IDLE: Final = 200
# What may come beside a body: head, interim answers, sizes of chunks, trailers.
_OVERHEAD_BYTES: Final = 256 * 1024
# The parser keeps a buffer as large as the largest piece that it was ever given.
_PARSED_BYTES: Final = 16 * 1024
_SWITCHING: Final = 101
_FINAL: Final = 200

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class NotConnectedError(Exception):
    """No connection came about: nothing has left."""


class ExchangeFailedError(Exception):
    """The request left, wholly or partly, and no answer came that could be read."""


@dataclass(frozen=True, slots=True)
class LeanAnswer:
    """What came back; a body that is longer than the limit ends a little behind it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect, and how; with an `ssl_context`, under TLS in the host's name."""

    host: str
    port: int
    ssl_context: ssl.SSLContext | None = None
    dial: Dial = dial


class LeanConnection(asyncio.Protocol):
    """One connection, for one exchange at a time."""

    def __init__(self, *, limit: int, max_age: float = math.inf) -> None:
        """Take the limits.

        Args:
            limit: How many bytes of a body are read; one that has more ends the connection.
            max_age: For how many seconds it may be used again.
        """
        self._limit = self._answer_limit = limit
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._parser: zttp.H1Connection | None = None
        self._waiter: asyncio.Future[LeanAnswer] | None = None
        self._head: zttp.Response | None = None
        self._body: list[bytes] = []
        self._body_bytes = self._received = 0
        self._reusable = True
        self._idle_since = time.monotonic()
        self._ends_at = self._idle_since + max_age

    @property
    def reusable(self) -> bool:
        """Whether the last answer's end was certain and nothing came after it."""
        return self._reusable

    def is_fresh(self) -> bool:
        """Tell whether an idle connection may be used again; one that the peer closed may not."""
        now = time.monotonic()
        old = now - self._idle_since > KEEPALIVE_SECONDS or now > self._ends_at
        if old or not self._reusable:
            return False
        # What the loop has not read yet is an end, or something that nobody asked for.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close at once; what is on its way is lost."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    async def exchange(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        limit: int | None = None,
    ) -> LeanAnswer:
        """Send a request and return its answer; cut off, it ends the connection.

        Args:
            method: As on the wire.
            target: As on the wire.
            headers: As on the wire.
            body: Whole.
            limit: How many bytes of the answer's body are read, where it is fewer than usual.

        Raises:
            NotConnectedError: The peer had closed the connection; nothing has left.
            ExchangeFailedError: No answer that could be read.
        """
        assert self._transport is not None
        if not self._reusable:
            raise NotConnectedError("it closed the connection")
        self._parser = parser = zttp.Connection(zttp.CLIENT)
        self._head, self._body, self._body_bytes, self._received = None, [], 0, 0
        self._answer_limit = self._limit if limit is None else min(limit, self._limit)
        waiter: asyncio.Future[LeanAnswer] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        try:
            parser.send_request(method, target, b"1.1", list(headers))
            if body:
                parser.send_data(body)
            parser.end_message()
            self._transport.write(parser.data_to_send())
            return await waiter
        except zttp.LocalProtocolError as error:
            raise ExchangeFailedError("the request cannot be written") from error
        except BaseException:
            self.close()
            raise
        finally:
            self._parser = self._waiter = None
            self._idle_since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; the event loop calls this."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Parse what came; the event loop calls this."""
        self._received += len(data)
        if self._parser is None or self._received > self._answer_limit + _OVERHEAD_BYTES:
            self._fail("more came than was asked for")
            return
        for at in range(0, len(data), _PARSED_BYTES):
            if self._is_answered():
                # What comes behind the answer makes its end uncertain.
                self.close()
                return
            self._parse(data[at : at + _PARSED_BYTES])

    def eof_received(self) -> bool:
        """Take note of the end, which ends some answers; the event loop calls this."""
        self._reusable = False
        if self._parser is not None:
            self._parse(b"")
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail what waits; the event loop calls this."""
        self._fail("the connection broke")

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        assert parser is not None
        try:
            event: zttp.Event = parser.receive_event(data)
            while event is not zttp.NEED_DATA and event is not zttp.CONNECTION_CLOSED:
                if self._take(parser, event):
                    return
                event = parser.next_event()
        except zttp.RemoteProtocolError:
            self._fail("the answer is not HTTP")
            return
        if event is zttp.CONNECTION_CLOSED:
            self._fail("the connection was closed")

    def _take(self, parser: zttp.H1Connection, event: zttp.Event) -> bool:
        """Take an event in and tell whether the answer is complete, or too long."""
        if isinstance(event, zttp.Response):
            if event.status_code == _SWITCHING:
                self._fail("the peer speaks something else")
                return True
            # Interim answers say nothing.
            self._head = event if event.status_code >= _FINAL else None
        elif isinstance(event, zttp.Data):
            self._body.append(event.data)
            self._body_bytes += len(event.data)
            if self._body_bytes > self._answer_limit:
                self._answer()
                self.close()
                return True
        elif isinstance(event, zttp.EndOfMessage) and self._head is not None:
            self._reusable = self._reusable and not parser.should_close() and _is_empty(parser)
            self._answer()
            return True
        return False

    def _is_answered(self) -> bool:
        return self._waiter is None or self._waiter.done()

    def _answer(self) -> None:
        head, waiter = self._head, self._waiter
        assert head is not None
        if waiter is not None and not waiter.done():
            headers = list(head.headers)
            waiter.set_result(LeanAnswer(head.status_code, headers, b"".join(self._body)))

    def _fail(self, why: str) -> None:
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ExchangeFailedError(why))


class LeanConnections:
    """Connections to one origin, kept while they may be used again, the last one first.

    There may be as many at once as are asked for: who calls through here has had its turn already.
    """

    def __init__(
        self, origin: Origin, *, connect_seconds: float, limit: int, max_age: float = math.inf
    ) -> None:
        """Take where to connect, how long that may take, and the limits of each connection."""
        self._origin = origin
        self._connect_seconds = connect_seconds
        self._make = partial(LeanConnection, limit=limit, max_age=max_age)
        self._idle: deque[LeanConnection] = deque()

    async def exchange(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        limit: int | None = None,
    ) -> LeanAnswer:
        """Send a request and return its answer; `limit` as of `LeanConnection.exchange`.

        Raises:
            NotConnectedError: Nothing has left.
            ExchangeFailedError: No answer that could be read.
        """
        connection = self._take() or await self._connect()
        answer = await connection.exchange(method, target, headers, body, limit=limit)
        if connection.reusable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> LeanConnection | None:
        # The oldest go first: what has not been used for a while is not needed.
        while self._idle and not self._idle[0].is_fresh():
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection
            connection.close()
        return None

    async def _connect(self) -> LeanConnection:
        origin = self._origin
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                dialled = await origin.dial(origin.host, origin.port)
                try:
                    _, connection = await loop.create_connection(
                        self._make,
                        sock=dialled,
                        ssl=origin.ssl_context,
                        server_hostname=None if origin.ssl_context is None else origin.host,
                    )
                except BaseException:
                    dialled.close()
                    raise
        except (OSError, TimeoutError) as error:
            raise NotConnectedError("it takes no connection") from error
        return connection


def _is_empty(parser: zttp.H1Connection) -> bool:
    """Tell whether nothing came after the answer that has been read."""
    try:
        parser.start_next_cycle()
        return parser.receive_event(b"") is zttp.CONNECTION_CLOSED
    except zttp.ProtocolError:
        return False
