"""uvicorn's protocol on zttp, with a deadline for each part of a request and a size for its head.

zttp itself refuses what could be framed in two ways, more than 100 header lines, and lines over
16 KiB. What it lets through and we do not: heads over 16 KiB in all, transfer codings other than
chunked, chunked bodies of HTTP/1.0, and paths that are not ASCII.
"""

import asyncio
import json
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

import structlog
import zttp
from uvicorn.config import Config
from uvicorn.protocols.http.zttp_impl import RequestResponseCycle, ZttpProtocol
from uvicorn.server import ServerState

from gateway.domain import ids
from gateway.errors import NotReadyError
from gateway.http.guard import CUT_OFF, Guard
from gateway.http.problems import (
    HEADER_TOO_LARGE,
    MALFORMED_REQUEST,
    PROBLEM_JSON,
    PROBLEM_TYPES,
    REQUEST_TIMEOUT,
    ProblemType,
    problem_body,
)
from gateway.http.shortcut import Heads, Shortcut, ShortcutCycle

_READ_BYTES: Final = 64 * 1024
_PARSED_BYTES: Final = 16 * 1024
# Of a pipelined request, before its turn has come.
_EARLY_BYTES: Final = 64 * 1024
# A peer that still sends when it is refused would lose the answer if the socket closed at once.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 8 * 1024 * 1024
# A kept-alive connection may be used once more while the server stops.
_LAST_CHANCE_SECONDS: Final = 1.0


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that never reaches the application."""

    kind: ProblemType
    detail: str
    headers: str = ""

    def answer(self) -> bytes:
        """Return the bytes of the answer."""
        request_id = ids.new_id("req")
        problem = problem_body(self.kind, self.detail, instance=request_id)
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {self.kind.status} {HTTPStatus(self.kind.status).phrase}\r\n"
            f"Content-Type: {PROBLEM_JSON}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {request_id}\r\nCache-Control: no-store\r\n{self.headers}"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body


_MALFORMED: Final = Refusal(MALFORMED_REQUEST, "The request is not sound HTTP/1.1.")
_TOO_SLOW: Final = Refusal(REQUEST_TIMEOUT, "The request took too long to arrive.")
_HEAD_TOO_LARGE: Final = Refusal(HEADER_TOO_LARGE, "The request's line and headers are too large.")
_TOO_MUCH_AT_ONCE: Final = Refusal(
    PROBLEM_TYPES[NotReadyError],
    "Too much is arriving at once. Send it again.",
    "Retry-After: 1\r\n",
)


class _Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    REFUSED = auto()


class _InspectedConnection:
    """zttp's connection, with an eye on what comes out of it."""

    def __init__(self, connection: zttp.H1Connection, protocol: "GuardedProtocol") -> None:
        self._connection = connection
        self._protocol = protocol
        # What every request needs is looked up once.
        self._receive_event = connection.receive_event
        self._next_event = connection.next_event
        self.upgrade = connection.upgrade
        self.send_response = connection.send_response
        self.send_data = connection.send_data
        self.end_message = connection.end_message
        self.data_to_send = connection.data_to_send
        self.start_next_cycle = connection.start_next_cycle

    def receive_event(self, data: bytes) -> zttp.Event:
        return self._protocol.seen(self._receive_event(data))

    def next_event(self) -> zttp.Event:
        event = self._next_event()
        # The most frequent answer, of which nothing is to be seen.
        return event if event is zttp.NEED_DATA else self._protocol.seen(event)

    def should_close(self) -> bool:
        # While a request still comes in, a socket that closed at once could take the answer along.
        return self._connection.should_close() and not self._protocol.is_reading()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever zttp has
        return getattr(self._connection, name)


class GuardedProtocol(ZttpProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        guard: Guard,
        shortcut: Shortcut | None = None,
        heads: Heads,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._look_up()
        self.conn = _InspectedConnection(self.conn, self)  # type: ignore[assignment]
        self.peer: str | None = None
        self.deadline: float | None = None
        self.body_bytes = 0
        self.body_since = 0.0
        self._guard = guard
        self._limits = guard.limits
        self._phase = _Phase.IDLE
        # Bytes that came in the present phase.
        self._received = 0
        self._refusal = _MALFORMED
        self._is_upload = False
        self._last_chance = False
        self._shortcut = shortcut
        self._heads = heads

    def _look_up(self) -> None:
        """Look up once what every request needs of zttp's own connection."""
        conn = self.conn
        self.is_last = conn.should_close
        self._receive_event = conn.receive_event
        self._next_event = conn.next_event
        self._start_next_cycle = conn.start_next_cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or end it where the peer has too many."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            # asyncio reads 256 KiB at once, from each of many sockets before anything is looked at.
            transport.max_size = _READ_BYTES
        if not self._guard.admit(self, self.client[0] if self.client else None):
            self._phase = _Phase.REFUSED
            transport.abort()
            return
        self.deadline = self.loop.time() + self._limits.first_byte_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._guard.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes, and read it."""
        match self._phase:
            case _Phase.REFUSED:
                self._discard(len(data))
                return
            case _Phase.IDLE:
                self._read_first(data)
                return
            case _Phase.HEAD:
                self._read_head(data)
                return
            case _Phase.BODY:
                self._count_body(data)
            case _Phase.ANSWER if self._received > _EARLY_BYTES:
                # The next request is read on when this one's answer is out.
                self.flow.pause_reading()
            case _Phase.ANSWER:
                pass
        self._received += len(data)
        self._parse(data)

    def _read_first(self, data: bytes) -> None:
        """Read the first bytes of a request."""
        self._phase = _Phase.HEAD
        self._received = 0
        if self._shortcut is None or len(data) > _PARSED_BYTES:
            self._read_head(data)
        else:
            self._read_at_once(data)
        if self._phase is _Phase.HEAD:
            # Nearly all requests come whole, and need no deadline.
            self.deadline = self.loop.time() + self._limits.header_seconds

    def _read_at_once(self, data: bytes) -> None:
        """Do what `_read_head` does, in fewer steps where the shortcut takes a whole request."""
        self._received = len(data)
        try:
            event = self._receive_event(data)
            if type(event) is not zttp.Request:
                self.handle_events(self.seen(event))
            else:
                self._inspect(event)
                cycle = self._take(event)
                if cycle is None:
                    self._enter_body(event)
                    super().handle_events(event)
                else:
                    self._serve_at_once(cycle)
        except zttp.RemoteProtocolError:
            self.handle_remote_protocol_error()
        if self._phase is not _Phase.ANSWER:
            self._look_at_the_rest(data)

    def _serve_at_once(self, cycle: ShortcutCycle) -> None:
        self.cycle = cycle  # type: ignore[assignment]
        event = self._next_event()
        if type(event) is zttp.Data:
            cycle.body = event.data
            event = self._next_event()
            if type(event) is zttp.EndOfMessage:
                # Nothing of it is left to wait for, and so to count or to time.
                self._phase = _Phase.ANSWER
                self._received = 0
                self.deadline = None
                self._serve(cycle)
                return
        self._begin_body(cycle.request)
        self.handle_events(self.seen(event))

    def handle_events(self, event: zttp.Event) -> None:
        """Serve what the parser has found, past ASGI where the shortcut takes it."""
        cycle: object = self.cycle
        if isinstance(event, zttp.Request):
            cycle = self._take(event)
            if cycle is not None:
                self.cycle = cycle  # type: ignore[assignment]
                event = self.conn.next_event()
        if not isinstance(cycle, ShortcutCycle):
            super().handle_events(event)
            return
        while event is not zttp.NEED_DATA:
            if isinstance(event, zttp.Data):
                cycle.add(event.data)
            elif isinstance(event, zttp.EndOfMessage):
                self._serve(cycle)
                return
            event = self.conn.next_event()

    def _take(self, event: zttp.Request) -> ShortcutCycle | None:
        """Let the shortcut have a request, where nothing about it is unusual."""
        if (
            self._shortcut is None
            or event.method != b"POST"
            or event.end_stream
            or event.expect_continue
            or self.flow.write_paused
            or self.is_last()
        ):
            return None
        assert isinstance(event.headers, zttp.HeaderBlock)
        taken = self._shortcut.begin(event.path, event.headers)
        if taken is None:
            return None
        return ShortcutCycle(event, taken, self, self._heads)

    def _serve(self, cycle: ShortcutCycle) -> None:
        try:
            served = cycle.serve()
        except Exception as error:
            # The application is told of it in the usual way, should it meet it, too.
            log.exception("http.shortcut_failed", error=type(error).__name__)
            served = False
        if not served:
            # It finds the request as if it had been there from the beginning.
            super().handle_events(cycle.request)
            self.cycle.body += cycle.body
            self.cycle.more_body = False
            self.cycle.message_event.set()
        cycle.body = b""

    def seen(self, event: zttp.Event) -> zttp.Event:
        """Note what the parser has found.

        Raises:
            zttp.RemoteProtocolError: The request is not one that we take.
        """
        if isinstance(event, zttp.Request):
            self._inspect(event)
            self._enter_body(event)
        elif isinstance(event, zttp.EndOfMessage):
            self._guard.body_ended(self)
            self._enter(_Phase.ANSWER, None)
        return event

    def on_response_complete(self) -> None:
        """Wait for the next request; an answer before the request's end is the last one."""
        if self._phase is _Phase.BODY:
            self._stop_reading()
            self._end_writing()
        elif self._phase is _Phase.ANSWER:
            # The guard's sweep ends the wait; uvicorn would set a timer after each answer.
            self._enter(_Phase.IDLE, self._limits.keep_alive_seconds)
        if self._last_chance:
            self.transport.close()
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._go_on()

    def _go_on(self) -> None:
        """Read the next request, if its beginning is there; the rest of a body comes first."""
        if self.cycle.more_body:
            return
        self._start_next_cycle()
        try:
            event = self._next_event()
            if event is not zttp.NEED_DATA:
                self.handle_events(self.seen(event))
        except zttp.RemoteProtocolError:
            self.handle_remote_protocol_error()

    def is_reading(self) -> bool:
        """Say whether a request's body has not arrived in full."""
        return self._phase is _Phase.BODY

    def handle_remote_protocol_error(self) -> None:
        """Refuse what the parser could not read."""
        refusal, self._refusal = self._refusal, _MALFORMED
        self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a fixed text, and read no further."""
        if self._phase is _Phase.REFUSED:
            return
        CUT_OFF.labels(refusal.kind.slug).inc()
        cycle = self._cycle()
        self._stop_reading()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(refusal.answer())
        self._end_writing()

    def expire(self) -> None:
        """End: the deadline of the present phase has passed."""
        match self._phase:
            case _Phase.HEAD | _Phase.BODY:
                self.refuse(_TOO_SLOW)
            case _Phase.REFUSED:
                self.transport.abort()
            case _Phase.ANSWER:
                # The peer does not read what it asked for.
                CUT_OFF.labels("write-stall").inc()
                self.transport.abort()
            case _Phase.IDLE:
                self.transport.close()

    def shed(self) -> None:
        """End: all bodies together are too large, and this one has been coming for longest."""
        self.refuse(_TOO_MUCH_AT_ONCE)

    def shutdown(self) -> None:
        """Close when there is nothing to answer; tell the peer that this answer is the last."""
        self._last_chance = True
        cycle = self._cycle()
        if cycle is not None:
            cycle.keep_alive = False
            if not cycle.response_started:
                cycle.default_headers = self.server_state.default_headers
        elif self._phase is _Phase.IDLE:
            # A request may be on its way already.
            self.deadline = self.loop.time() + _LAST_CHANCE_SECONDS

    def pause_writing(self) -> None:
        """Give the peer a while to read."""
        super().pause_writing()
        if self._phase is _Phase.ANSWER:
            self.deadline = self.loop.time() + self._limits.write_stall_seconds

    def resume_writing(self) -> None:
        """Take note that the peer reads."""
        super().resume_writing()
        if self._phase is _Phase.ANSWER:
            self.deadline = None

    def _unsupported_upgrade_warning(self) -> None:
        # Anybody may ask for one, as often as they like; the request is served without.
        pass

    def _enter(self, phase: _Phase, seconds: float | None) -> None:
        self._phase = phase
        self._received = 0
        self.deadline = None if seconds is None else self.loop.time() + seconds

    def _enter_body(self, event: zttp.Request) -> None:
        if event.end_stream:
            self._enter(_Phase.ANSWER, None)
        else:
            self._begin_body(event)

    def _begin_body(self, event: zttp.Request) -> None:
        limits = self._limits
        self._is_upload = limits.is_upload(event.path.decode("ascii"))
        self._phase = _Phase.BODY
        self._received = 0
        self.body_since = now = self.loop.time()
        self.deadline = now + (limits.upload_seconds if self._is_upload else limits.body_seconds)

    def _inspect(self, event: zttp.Request) -> None:
        assert isinstance(event.headers, zttp.HeaderBlock)
        if self._received > self._limits.header_bytes and (
            _head_bytes(event) > self._limits.header_bytes
        ):
            self._refusal = _HEAD_TOO_LARGE
            raise zttp.RemoteProtocolError("head too large")
        codings = event.headers.getall(b"transfer-encoding")
        if codings and (event.http_version == b"1.0" or not _only_chunked(codings)):
            raise zttp.RemoteProtocolError("transfer coding")
        if not event.target.isascii():
            raise zttp.RemoteProtocolError("path")

    def _read_head(self, data: bytes) -> None:
        self._received += len(data)
        self._parse(data)
        self._look_at_the_rest(data)

    def _look_at_the_rest(self, data: bytes) -> None:
        if self._phase is _Phase.BODY:
            # The beginning of a body came with the head.
            self._count_body(data)
        elif self._phase is _Phase.HEAD and self._received > self._limits.header_bytes:
            self.refuse(_HEAD_TOO_LARGE)

    def _parse(self, data: bytes) -> None:
        # The parser keeps a buffer as large as the largest piece that it was ever given.
        if len(data) <= _PARSED_BYTES:
            if not self._is_refused():
                super().data_received(data)
            return
        for at in range(0, len(data), _PARSED_BYTES):
            if self._is_refused():
                return
            super().data_received(data[at : at + _PARSED_BYTES])

    def _count_body(self, data: bytes) -> None:
        if not self._is_upload:
            self._guard.body_grew(self, len(data))

    def _cycle(self) -> RequestResponseCycle | None:
        """Return the request that is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _is_refused(self) -> bool:
        return self._phase is _Phase.REFUSED

    def _stop_reading(self) -> None:
        self._guard.body_ended(self)
        self._enter(_Phase.REFUSED, _LINGER_SECONDS)
        # What the parser and the request hold is of no use any more, and may be much.
        self.conn = zttp.Connection(zttp.SERVER)
        self._look_up()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None:
            cycle.conn = self.conn
            cycle.body = bytearray()

    def _end_writing(self) -> None:
        # The peer may still be sending; if the socket closed now, it could lose the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def _discard(self, size: int) -> None:
        self._received += size
        if self._received > _LINGER_BYTES:
            self.transport.abort()


def _head_bytes(event: zttp.Request) -> int:
    lines = sum(len(name) + len(value) + len(": \r\n") for name, value in event.headers)
    return len(event.method) + len(event.target) + len("  HTTP/1.1\r\n\r\n") + lines


def _only_chunked(codings: list[bytes]) -> bool:
    return len(codings) == 1 and codings[0].strip().lower() == b"chunked"
