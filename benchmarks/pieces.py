"""What each piece of a webhook's way takes, in one process and without sockets.

The ingress and the bare application have reading, writing and polling of sockets in common; what
they differ in is measured here, in CPU time of one thread, for webhooks of one message that come in
bursts as 64 connections send them. A busy machine makes all of it slower by turns, so the first
decile of many bursts is taken.
"""

import asyncio
import gc
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import uvicorn
import uvloop
import zttp
from uvicorn.protocols.http.zttp_impl import ZttpProtocol
from uvicorn.server import ServerState

from benchmarks import webhooks
from benchmarks.bare import Bare
from benchmarks.figures import record
from gateway.clock import SystemClock
from gateway.contracts.canonical import parse_json_noting_repeats
from gateway.http.guard import Guard, Limits
from gateway.http.protocol import GuardedProtocol
from gateway.http.shortcut import Heads, Reply
from gateway.ingress.meta import record_of
from gateway.meta.normalise import normalise
from gateway.meta.signature import signature_header, verify

_SECRET: Final = b"0123456789abcdef0123456789abcdef"
_APP: Final = "400500600700800"
_BURST: Final = 50
_BURSTS: Final = 400


def main() -> None:
    """Measure the bare application whole, then the pieces of ours."""
    uvloop.run(_measure())


async def _measure() -> None:
    bodies = list(webhooks.messages(_BURST * _BURSTS))
    signatures = [signature_header(body, _SECRET).encode() for body in bodies]
    requests = [_request(*each) for each in zip(bodies, signatures, strict=True)]
    now = SystemClock().now()
    gc.collect()
    gc.freeze()
    await _drive("bare", requests, _bare_connection())
    await _drive("shortcut", requests, _our_connection())

    def events(body: bytes) -> Any:  # noqa: ANN401 - the value is thrown away
        return normalise(body, meta_app_id=_APP, received_at=now).events

    _time("hmac", lambda body: hmac.digest(_SECRET, body, "sha256"), bodies)
    pairs = list(zip(bodies, signatures, strict=True))
    _time("signature", lambda pair: verify(pair[0], [pair[1]], [_SECRET]), pairs)
    _time("json", parse_json_noting_repeats, bodies)
    _time("normalise", events, bodies)
    made = [event for body in bodies for event in events(body)]
    _time("record", lambda event: record_of(event, now), made)


def _request(body: bytes, signature: bytes) -> bytes:
    return (
        b"POST /webhooks/meta/%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-Hub-Signature-256: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (_APP.encode(), signature, len(body), body)
    )


class _Transport(asyncio.Transport):
    """Takes what is written, and does nothing with it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if bytes(data[:8]) == b"HTTP/1.1":
            self.answers += 1

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Answering:
    """A shortcut that takes everything, and answers at once."""

    def begin(self, _path: bytes, _headers: zttp.HeaderBlock) -> "_Answering":
        return self

    def serve(self, _body: bytes, reply: Reply) -> bool:
        asyncio.get_running_loop().call_soon(reply.ok, "req_01kb9xkzfve8mtr2p7aa0q6k3d")
        return True

    def abandon(self) -> None:
        pass


def _config(app: Any) -> uvicorn.Config:  # noqa: ANN401 - an ASGI application, or none
    config = uvicorn.Config(
        app, http="zttp", ws="none", lifespan="off", log_config=None, timeout_keep_alive=3600
    )
    config.load()
    return config


def _bare_connection() -> Callable[[], ZttpProtocol]:
    config, state = _config(Bare(_SECRET)), ServerState()
    return lambda: ZttpProtocol(config, state, {})


def _our_connection() -> Callable[[], ZttpProtocol]:
    config, state, guard, heads = _config(Bare(_SECRET)), ServerState(), Guard(Limits()), Heads()
    shortcut = _Answering()
    return lambda: GuardedProtocol(config, state, {}, guard=guard, shortcut=shortcut, heads=heads)


async def _drive(
    name: str, requests: Sequence[bytes], connection: Callable[[], ZttpProtocol]
) -> None:
    """Give each burst to as many connections, and let them answer."""
    transports = [_Transport() for _ in range(_BURST)]
    connections = [connection() for _ in transports]
    for each, transport in zip(connections, transports, strict=True):
        each.connection_made(transport)
    spent = []
    for at in range(0, len(requests), _BURST):
        began = time.thread_time()
        for each, request in zip(connections, requests[at : at + _BURST], strict=True):
            each.data_received(request)
        # Once for what was started, once for what that called back.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        spent.append(time.thread_time() - began)
    if sum(each.answers for each in transports) != len(requests):
        raise RuntimeError("Not every request was answered.")
    _record(name, spent)


def _time(name: str, piece: Callable[[Any], object], of: Sequence[Any]) -> None:
    spent = []
    for at in range(0, len(of), _BURST):
        began = time.thread_time()
        for each in of[at : at + _BURST]:
            piece(each)
        spent.append(time.thread_time() - began)
    _record(name, spent)


def _record(name: str, spent: Iterable[float]) -> None:
    ranked = sorted(spent)
    record(f"pieces.{name}", ranked[len(ranked) // 10] / _BURST * 1e6, "µs")
