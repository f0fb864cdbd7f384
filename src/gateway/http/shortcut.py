"""The way past ASGI for the requests of which there are most.

ASGI costs a request a task, a scope and a dozen calls. A `Shortcut` looks at a request's head and
may take the request; it gets the body once that has arrived in full, and answers by a call,
whenever that may be. What it does not take, or hands back, the application serves as if it had come
there first. Limits and deadlines are the same on both ways.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

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


class Connection(Protocol):
    """The connection that a request came by."""

    # zttp's connection, or what looks into it.
    conn: Any
    transport: asyncio.Transport
    server_state: ServerState

    def is_last(self) -> bool:
        """Say whether the request is the connection's last."""
        ...

    def on_response_complete(self) -> None:
        """Take note that the answer is out."""
        ...


class ShortcutCycle:
    """A request on the shortcut, and its answer; to the protocol what uvicorn's cycles are."""

    __slots__ = (
        "_connection",
        "_heads",
        "_taken",
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

    # Set by uvicorn's protocol, and of no use here: what they are is asked when it is needed.
    conn: Any
    default_headers: list[tuple[bytes, bytes]]

    def __init__(
        self, request: zttp.Request, taken: Taken, connection: Connection, heads: Heads
    ) -> None:
        self.request = request
        self.body: bytes | bytearray = b""
        self.more_body = True
        self.disconnected = False
        self.keep_alive = True
        self.response_started = False
        self.response_complete = False
        self._taken: Taken | None = taken
        self._connection = connection
        self._heads = heads

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
        connection = self._connection
        head = self._heads.ok(connection.server_state.default_headers)
        connection.transport.write(b"%b%b\r\n\r\n" % (head, request_id.encode()))
        self._complete(connection)

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer whatever else."""
        if self.disconnected:
            return
        connection = self._connection
        conn = connection.conn
        conn.send_response(status, [*connection.server_state.default_headers, *headers])
        conn.send_data(body)
        conn.end_message()
        connection.transport.write(conn.data_to_send())
        self._complete(connection)

    def _complete(self, connection: Connection) -> None:
        self.response_started = self.response_complete = True
        if not self.keep_alive or connection.is_last():
            connection.transport.close()
        connection.on_response_complete()
