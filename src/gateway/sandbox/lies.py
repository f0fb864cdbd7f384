"""How a struck answer leaves the sandbox: late, cut, endless, or not HTTP at all.

Some of it cannot be said through ASGI. The sandbox's own server (`gateway.sandbox.server`) puts
the bare connection into the request's scope; under another server these faults hang instead.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.sandbox.faults import Fault

CONNECTION: Final = "sandbox.connection"
METADATA_ADDRESS: Final = "http://169.254.169.254/latest/meta-data/"
DRIP_PAUSE_SECONDS: Final = 1.0

_CHUNK: Final = b"x" * 65_536
_BOMB_BYTES: Final = 256 * 1024 * 1024
_HTML: Final = (
    b"<!DOCTYPE html><html><head><title>Facebook | Error</title></head><body><h1>Sorry, something "
    b"went wrong.</h1><p>We're working on it and we'll get it fixed as soon as we can.</p></body>"
    b"</html>"
)


class Connection(Protocol):
    """The bare connection under a request."""

    async def write(self, content: bytes) -> None:
        """Write bytes, waiting while the peer does not read; raises ConnectionError once closed."""
        ...

    def close(self) -> None:
        """Close in order, after what was written has left."""
        ...

    def reset(self) -> None:
        """Close with a reset, dropping what has not left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, before anything happens to it."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = "application/json; charset=UTF-8"

    def response(self) -> Response:
        """Return it as a response that leaves well."""
        return Response(
            self.body, status_code=self.status, headers=self.headers, media_type=self.media_type
        )


def struck(fault: Fault, answer: Answer) -> tuple[Response, int | None]:
    """Return how an answer leaves under a fault, and the status that goes out, if any does."""
    pause = (fault.delay_ms or 0) / 1000
    if fault.mode == "drip":
        pause = DRIP_PAUSE_SECONDS if fault.delay_ms is None else pause
        return _Drip(answer, pause), answer.status
    if fault.mode == "hang" and fault.delay_ms is None:
        return _Silence(), None
    if fault.mode in _BARE:
        return _Bare(_BARE[fault.mode], answer, pause), _BARE_STATUS.get(fault.mode)
    said = _said_instead(fault, answer)
    return _Late(said.response(), pause), said.status


def _said_instead(fault: Fault, answer: Answer) -> Answer:
    """Return the answer that HTTP can carry for a fault: the real one, or a lie."""
    match fault.mode:
        case "html":
            return Answer(
                status=fault.status or 503,
                body=_HTML,
                headers=answer.headers,
                media_type="text/html",
            )
        case "empty":
            return Answer(status=fault.status or 200, body=b"", headers=answer.headers)
        case "redirect":
            there = {"Location": METADATA_ADDRESS}
            return Answer(status=fault.status or 307, body=b"", headers=there)
        case _:
            return answer


class _Late(Response):
    """A response that waits before it leaves."""

    def __init__(self, response: Response, pause: float) -> None:
        super().__init__()
        self._response = response
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await _gone_within(receive, self._pause):
            return
        await self._response(scope, receive, send)


class _Drip(Response):
    """A response whose body comes byte by byte."""

    def __init__(self, answer: Answer, pause: float) -> None:
        super().__init__()
        self._answer = answer
        self._pause = pause

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        head = self._answer.response()
        await send(
            {"type": "http.response.start", "status": head.status_code, "headers": head.raw_headers}
        )
        body = self._answer.body
        for i in range(len(body)):
            if await _gone_within(receive, self._pause):
                return
            await send(
                {
                    "type": "http.response.body",
                    "body": body[i : i + 1],
                    "more_body": i + 1 < len(body),
                }
            )


class _Silence(Response):
    """No answer for as long as the client waits."""

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        await _gone(receive)


class _Bare(Response):
    """Whatever is written to the bare connection instead of a response."""

    def __init__(
        self,
        act: Callable[[Connection, Answer], Awaitable[None]],
        answer: Answer,
        pause: float,
    ) -> None:
        super().__init__()
        self._act = act
        self._answer = answer
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        connection: Connection | None = scope.get("extensions", {}).get(CONNECTION)
        if connection is None:
            await _gone(receive)
            return
        if await _gone_within(receive, self._pause):
            return
        try:
            await self._act(connection, self._answer)
        except ConnectionError:
            return
        connection.close()
        await _gone(receive)


async def _close(connection: Connection, _answer: Answer) -> None:
    connection.close()


async def _reset(connection: Connection, _answer: Answer) -> None:
    connection.reset()


async def _garbage(connection: Connection, _answer: Answer) -> None:
    await connection.write(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP \x00\xff\r\n\r\n"
    )


async def _truncated(connection: Connection, answer: Answer) -> None:
    half = answer.body[: len(answer.body) // 2]
    await connection.write(_head(answer, b"content-length: %d" % len(answer.body)) + half)


async def _endless(connection: Connection, answer: Answer) -> None:
    await connection.write(_head(answer, b"transfer-encoding: chunked"))
    while True:
        await connection.write(b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK))


async def _endless_headers(connection: Connection, _answer: Answer) -> None:
    await connection.write(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        await connection.write(b"x-filler-%d: %b\r\n" % (number, _CHUNK[:1024]))
        number += 1


async def _interim_flood(connection: Connection, _answer: Answer) -> None:
    while True:
        await connection.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n" * 64)


async def _gzip_bomb(connection: Connection, answer: Answer) -> None:
    bomb = await asyncio.to_thread(gzip.compress, bytes(_BOMB_BYTES), 9)
    await connection.write(
        _head(answer, b"content-encoding: gzip\r\ncontent-length: %d" % len(bomb)) + bomb
    )


_BARE: Final[dict[str, Callable[[Connection, Answer], Awaitable[None]]]] = {
    "hang": _close,
    "drop_after_effect": _close,
    "reset": _reset,
    "garbage": _garbage,
    "truncated": _truncated,
    "endless": _endless,
    "endless_headers": _endless_headers,
    "interim_flood": _interim_flood,
    "gzip_bomb": _gzip_bomb,
}

# What a client reads as the status of those that begin like an answer.
_BARE_STATUS: Final = {
    "truncated": 200,
    "endless": 200,
    "endless_headers": 200,
    "interim_flood": 103,
    "gzip_bomb": 200,
}


def _head(answer: Answer, framing: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: close\r\n%b\r\n\r\n" % (
        answer.media_type.encode(),
        framing,
    )


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _gone_within(receive: Receive, seconds: float) -> bool:
    """Wait, and say whether the client has left meanwhile."""
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            await _gone(receive)
    except TimeoutError:
        return False
    return True
