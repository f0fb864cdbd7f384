"""Webhooks past ASGI: whatever a connection does, what is answered is what ASGI would answer."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from tests.integration.gateway.ingress.test_ingress import APP, Stage, body_of, sign, stage

from gateway.errors import NotDurableError
from gateway.http.guard import Limits
from gateway.http.server import HttpServer
from gateway.ingress.meta import MetaWebhooks

__all__ = ["stage"]

pytestmark = pytest.mark.integration

PATH = f"/webhooks/meta/{APP}".encode()
QUICK = Limits(first_byte_seconds=0.3, header_seconds=0.3, body_seconds=0.5)


class HeldProducer:
    """Keeps what is written until it is told how that went; `produce_all` is ASGI's way."""

    def __init__(self, producer):
        self._producer = producer
        self.held = []
        self.written = asyncio.Event()
        self.room = True
        self.waited = 0

    async def produce_all(self, records, *, timeout):  # noqa: ASYNC109 - the port's
        self.waited += 1
        await self._producer.produce_all(records, timeout=timeout)

    def write(self, records, then, *, timeout):
        if not self.room:
            return False
        self.held.append((records, then))
        self.written.set()
        return True

    async def until_written(self, count):
        async with asyncio.timeout(10):
            while len(self.held) < count:
                self.written.clear()
                await self.written.wait()


class Front:
    """Webhooks, and an echo of the path for all else."""

    def __init__(self, webhooks):
        self._webhooks = webhooks

    async def __call__(self, scope, receive, send):
        if scope["path"].startswith("/webhooks/"):
            await self._webhooks(scope, receive, send)
            return
        body = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(stage: Stage, **options):
    """Serve; give the producer and the server."""
    producer = HeldProducer(stage.broker.producer())
    webhooks = MetaWebhooks(
        secrets=stage.secrets,
        producer=producer,
        clock=stage.clock,
        body_bytes=64 * 1024,
        produce_seconds=1,
    )
    server = HttpServer(Front(webhooks), host="127.0.0.1", port=0, shortcut=webhooks, **options)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        await server.listening()
        yield producer, server
        await server.stop()


@asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(body, *, path=PATH, more=b"", signature=None, version=b"1.1"):
    signed = sign(body) if signature is None else signature
    return (
        b"POST %b HTTP/%b\r\nHost: a\r\nX-Hub-Signature-256: %b\r\nContent-Length: %d\r\n%b\r\n%b"
        % (path, version, signed.encode(), len(body), more, body)
    )


async def answer(reader):
    """Return the status, headers and body of one answer; None where the connection closed."""
    async with asyncio.timeout(10):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, body


def texts(held):
    return [
        json.loads(record.value)["message"]["text"] for records, _ in held for record in records
    ]


async def test_the_answer_waits_for_the_broker_and_the_connection_stays(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        for number in (1, 2, 3):
            writer.write(request(body_of(f"a{number}", f"b{number}")))
            await producer.until_written(number)
            reading = asyncio.ensure_future(answer(reader))
            _, pending = await asyncio.wait({reading}, timeout=0.05)
            assert pending
            producer.held[-1][1](None)
            status, headers, body = await reading
            assert (status, body) == (200, b"")
            assert headers["x-request-id"].startswith("req_")
            assert "date" in headers
        assert texts(producer.held) == ["a1", "b1", "a2", "b2", "a3", "b3"]
        assert producer.waited == 0


async def test_what_is_not_durable_is_a_503_with_a_problem(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        for _ in range(2):
            producer.held.clear()
            writer.write(request(body_of("a")))
            await producer.until_written(1)
            producer.held[0][1](NotDurableError("Too late."))
            status, headers, body = await answer(reader)
            problem = json.loads(body)
            assert (status, problem["type"]) == (503, "/problems/not-durable")
            assert problem["instance"] == headers["x-request-id"]
            assert headers["content-type"] == "application/problem+json"


async def test_where_it_cannot_be_written_at_once_asgi_waits(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        producer.room = False
        writer.write(request(body_of("a")))
        assert (await answer(reader))[0] == 200
        assert producer.waited == 1
        assert [each["message"]["text"] for each in stage.produced()] == ["a"]


async def test_pipelined_requests_are_answered_in_turn_on_both_ways(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        forged = request(body_of("x"), signature="sha256=" + "0" * 64)
        writer.write(
            request(body_of("a"))
            + b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"
            + request(body_of("b"))
            + forged
            + request(b'{"object": "page", "entry": []}')
            + request(body_of("c"), more=b"Connection: close\r\n")
        )
        await producer.until_written(1)
        producer.held[0][1](None)
        assert (await answer(reader))[0] == 200
        assert (await answer(reader))[2] == b"/other"
        await producer.until_written(2)
        producer.held[1][1](None)
        assert [(await answer(reader))[0] for _ in range(4)] == [200, 401, 200, 200]
        assert await answer(reader) is None
        assert texts(producer.held) == ["a", "b"]
        assert [each["message"]["text"] for each in stage.produced()] == ["c"]


async def test_many_pipelined_requests_do_not_grow_the_stack(stage):
    async with serving(stage) as (_, server), connected(server) as (reader, writer):
        empty = request(b'{"object": "page", "entry": []}')
        forged = request(b"{}", signature="sha256=" + "0" * 64)
        writer.write((empty + forged) * 2000)
        for _ in range(2000):
            assert (await answer(reader))[0] == 200
            assert (await answer(reader))[0] == 401


async def test_a_body_may_come_in_pieces(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        whole = request(body_of("in pieces"))
        for at in range(0, len(whole), 7):
            writer.write(whole[at : at + 7])
            await writer.drain()
        await producer.until_written(1)
        producer.held[0][1](None)
        assert (await answer(reader))[0] == 200
        assert texts(producer.held) == ["in pieces"]


async def test_a_body_that_stops_coming_is_cut_off(stage):
    async with serving(stage, limits=QUICK) as (producer, server):
        async with connected(server) as (reader, writer):
            writer.write(request(body_of("a"))[:-3])
            assert (await answer(reader))[0] == 408
            assert await answer(reader) is None
        assert producer.held == []


async def test_who_hangs_up_leaves_nothing_behind(stage):
    async with serving(stage) as (producer, server):
        async with connected(server) as (_, writer):
            writer.write(request(body_of("half"))[:-3])
            await writer.drain()
        async with connected(server) as (_, writer):
            writer.write(request(body_of("whole")))
            await producer.until_written(1)
        async with connected(server) as (reader, writer):
            writer.write(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await answer(reader))[2] == b"/other"
            # It is durable, and nobody is there to be told.
            producer.held[0][1](None)
            writer.write(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await answer(reader))[2] == b"/other"
        assert texts(producer.held) == ["whole"]


async def test_stopping_waits_for_what_is_under_way(stage):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        writer.write(request(body_of("a")))
        await producer.until_written(1)
        stopping = asyncio.ensure_future(server.stop())
        _, pending = await asyncio.wait({stopping}, timeout=0.3)
        assert pending
        producer.held[0][1](None)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await answer(reader) is None
        await stopping


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(body_of("a"), version=b"1.0"), 200),
        (request(body_of("a"), more=b"Connection: close\r\n"), 200),
        (request(b""), 200),
        (request(body_of("a"), more=b"Content-Encoding: gzip\r\n"), 415),
        (request(body_of("a"), more=b"Content-Encoding: identity\r\n"), 200),
        (request(b" " * 65 * 1024), 413),
        (request(body_of("a"), path=PATH + b"/x"), 404),
        (request(body_of("a"), path=PATH + b"?x=1"), 200),
        (request(body_of("a"), path=b"/webhooks/meta/999"), 401),
        (request(body_of("a"), path=b"/webhooks/meta/"), 404),
    ],
)
async def test_what_is_unusual_is_answered_as_by_asgi(stage, raw, status):
    async with serving(stage) as (producer, server), connected(server) as (reader, writer):
        writer.write(raw)
        reading = asyncio.ensure_future(answer(reader))
        writing = asyncio.ensure_future(producer.until_written(1))
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        writing.cancel()
        for _, then in producer.held:
            then(None)
        assert (await reading)[0] == status


async def test_a_continue_is_sent(stage):
    async with serving(stage) as (_, server), connected(server) as (reader, writer):
        whole = request(body_of("a"), more=b"Expect: 100-continue\r\n")
        head, _, body = whole.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(body)
        assert (await answer(reader))[0] == 200
