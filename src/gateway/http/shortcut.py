"""The way past ASGI for the requests of which there are most.

ASGI costs a request a task, a scope and a dozen calls. A `Shortcut` looks at a request's head and
may take the request; it gets the body once that has arrived in full, and answers by a call,
whenever that may be. What it does not take, or hands back, the application serves as if it had come
there first. Limits and deadlines are the same on both ways.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import zttp
from uvicorn.server import ServerState

Headers = Sequence[tuple[bytes, bytes]]


class Reply(Protocol):
    """Where the answer to one request goes, once; nothing comes of it where the peer is gone."""

    def ok(self, request_id: str) -> None:
        """Answer 200 without a body."""
        ...

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer whatever else; the headers frame the body."""
        ...


class Taken(Protocol):
    """A request that was taken on the strength of its head."""

    def serve(self, body: bytes, reply: Reply) -> bool:
        """Serve the request, and answer after this call has returned.

        False: nothing was done, and the application has to serve it.
        """
        ...

    def abandon(self) -> None:
        """Take note that the body will not arrive in full."""
        ...


class Shortcut(Protocol):
    """Takes requests before the application does."""

    def begin(self, path: bytes, headers: zttp.HeaderBlock) -> Taken | None:
        """Take a POST whose body has a declared length, or leave it to the application.

        The path is as it came, without its query.
        """
        ...


class Heads:
    """The beginning of each answer, put together once for as long as it is the same."""

    def __init__(self) -> None:
        self._of: Sequence[tuple[bytes, bytes]] | None = None
        self._ok = b""

    def ok(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the head of a 200 without a body, up to the request's id."""
        # uvicorn makes a new list when the date changes, and when it stops.
        if default_headers is not self._of:
            lines = [b"%b: %b\r\n" % each for each in default_headers]
            self._ok = b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\nx-request-id: " % b"".join(lines)
            self._of = default_headers
        return self._ok


class ShortcutCycle:
    """A request on the shortcut, and its answer; to the protocol what uvicorn's cycles are."""

    __slots__ = (
        "_heads",
        "_on_response",
        "_state",
        "_taken",
        "_transport",
        "body",
        "conn",
        "default_headers",
        "disconnected",
        "keep_alive",
        "more_body",
        "request",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        request: zttp.Request,
        taken: Taken,
        conn: zttp.H1Connection,
        transport: asyncio.Transport,
        state: ServerState,
        heads: Heads,
        on_response: Callable[[], None],
    ) -> None:
        self.request = request
        self.conn = conn
        self.body: bytes | bytearray = b""
        self.more_body = True
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False
        self.default_headers: list[tuple[bytes, bytes]] = []
        self._taken: Taken | None = taken
        self._transport = transport
        self._state = state
        self._heads = heads
        self._on_response = on_response

    @property
    def message_event(self) -> "ShortcutCycle":
        """What the protocol sets when there is news of the request."""
        return self

    def set(self) -> None:
        """Take note of news; that the peer is gone is the only one that counts here."""
        if self.disconnected and self.more_body:
            self.more_body = False
            taken, self._taken = self._taken, None
            if taken is not None:
                taken.abandon()

    def add(self, part: bytes) -> None:
        """Keep a part of the body."""
        if not self.body:
            self.body = part
        elif isinstance(self.body, bytearray):
            self.body += part
        else:
            self.body = bytearray(self.body) + part

    def serve(self) -> bool:
        """Serve the request, whose body is there; False: the application has to."""
        self.more_body = False
        # Who serves it has this for the answer: they must not keep each other alive.
        taken, self._taken = self._taken, None
        assert taken is not None
        body = self.body
        return taken.serve(body if type(body) is bytes else bytes(body), self)

    def ok(self, request_id: str) -> None:
        """Answer 200 without a body."""
        if self.disconnected:
            return
        head = self._heads.ok(self._state.default_headers)
        self._transport.write(b"%b%b\r\n\r\n" % (head, request_id.encode()))
        self._complete()

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer whatever else."""
        if self.disconnected:
            return
        self.conn.send_response(status, [*self._state.default_headers, *headers])
        self.conn.send_data(body)
        self.conn.end_message()
        self._transport.write(self.conn.data_to_send())
        self._complete()

    def _complete(self) -> None:
        self.response_started = self.response_complete = True
        if not self.keep_alive or self.conn.should_close():
            self._transport.close()
        self._on_response()
