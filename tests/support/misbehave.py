"""What a receiver can do to whoever calls it.

Those that take arguments return a behaviour; the others are one. What goes on for ever ends when
the caller hangs up or the receiver does.
"""

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

from tests.support.receiver import Behaviour, Exchange

_KIB: Final = 1024


def respond(
    status: int, body: bytes | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer properly: a mapping as JSON."""

    async def behave(exchange: Exchange) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Length": str(len(content)), **(headers or {})}
        if not isinstance(body, bytes):
            fields = {"Content-Type": "application/json", **fields}
        exchange.writer.write(_head(status, fields) + content)

    return behave


def redirect(location: str, status: int = 307) -> Behaviour:
    """Send the caller elsewhere."""
    return respond(status, headers={"Location": location})


def answer_challenge(form: Literal["bare", "object", "result"] = "bare") -> Behaviour:
    """Return the challenge in one of its three forms; answer 200 to everything else."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json()
        if asked.get("type") != "challenge":
            await respond(200)(exchange)
            return
        value: str = asked["challenge"]
        answers: dict[str, bytes | Mapping[str, Any]] = {
            "bare": value.encode(),
            "object": {"challenge": value},
            "result": {"code": 0, "result": {"challenge": value}},
        }
        await respond(200, answers[form])(exchange)

    return behave


async def hang(exchange: Exchange) -> None:
    """Never answer; hang up when the caller does."""
    await exchange.reader.read()
    exchange.writer.close()


def drip_header(seconds: float = 0.2) -> Behaviour:
    """Send the header byte by byte."""
    return _stream(_head(200, {"Content-Length": "0"}), seconds, b"")


def drip_body(seconds: float = 0.2) -> Behaviour:
    """Send the header at once and a body of 64 KiB byte by byte."""
    return _stream(b"x" * 64 * _KIB, seconds, _head(200, {"Content-Length": str(64 * _KIB)}))


async def endless_body(exchange: Exchange) -> None:
    """Send a body without end, as fast as it is read."""
    exchange.writer.write(_head(200, {"Transfer-Encoding": "chunked"}))
    await _for_ever(exchange, b"10000\r\n" + b"x" * 64 * _KIB + b"\r\n")


async def endless_header(exchange: Exchange) -> None:
    """Send header lines without end, as fast as they are read."""
    exchange.writer.write(b"HTTP/1.1 200 OK\r\n")
    await _for_ever(exchange, b"X-More: and more\r\n" * _KIB)


async def informational_flood(exchange: Exchange) -> None:
    """Say `100 Continue` for ever."""
    await _for_ever(exchange, b"HTTP/1.1 100 Continue\r\n\r\n" * _KIB)


async def garbage(exchange: Exchange) -> None:
    """Answer with what is not HTTP at all."""
    exchange.writer.write(b"\x16\x03\x01\x00\xff\x00not http\r\n\r\n")
    exchange.writer.close()


async def close(exchange: Exchange) -> None:
    """Hang up without a word."""
    exchange.writer.close()


async def reset(exchange: Exchange) -> None:
    """Reset the connection without a word."""
    wire: socket.socket = exchange.writer.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


async def reset_in_body(exchange: Exchange) -> None:
    """Reset the connection in the middle of a body."""
    exchange.writer.write(_head(200, {"Content-Length": "1000"}) + b'{"cut":')
    await exchange.writer.drain()
    await reset(exchange)


def cut(body: bytes) -> Behaviour:
    """Announce one byte more than comes, then hang up."""

    async def behave(exchange: Exchange) -> None:
        exchange.writer.write(_head(200, {"Content-Length": str(len(body) + 1)}) + body)
        exchange.writer.close()

    return behave


def gzip_bomb(mebibytes: int = 200) -> Behaviour:
    """Answer with a thousandth of what it unpacks to."""
    packed = gzip.compress(bytes(mebibytes * _KIB * _KIB), compresslevel=9)
    return respond(200, packed, {"Content-Encoding": "gzip"})


async def switch_protocols(exchange: Exchange) -> None:
    """Answer 101, which nobody asked for."""
    exchange.writer.write(_head(101, {"Upgrade": "h2c", "Connection": "Upgrade"}))


async def answer_twice(exchange: Exchange) -> None:
    """Send a second answer on the connection that nobody asked for."""
    await respond(200, b"first")(exchange)
    await respond(200, b"second")(exchange)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    known = status in HTTPStatus.__members__.values()
    reason = HTTPStatus(status).phrase if known else "Unheard Of"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def _stream(slowly: bytes, seconds: float, at_once: bytes) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        exchange.writer.write(at_once)
        async for byte in _drops(slowly, seconds):
            exchange.writer.write(byte)
            await exchange.writer.drain()

    return behave


async def _drops(whole: bytes, seconds: float) -> AsyncIterator[bytes]:
    for number in range(len(whole)):
        yield whole[number : number + 1]
        await asyncio.sleep(seconds)


async def _for_ever(exchange: Exchange, piece: bytes) -> None:
    while not exchange.writer.is_closing():
        exchange.writer.write(piece)
        await exchange.writer.drain()
