"""Connections to the operator's addresses: used again where that is safe, never where it is not."""

import asyncio
import socket

import httpx
import pytest
from tests.support import misbehave
from tests.support.receiver import Receiver

from gateway.net.dialling import dial
from gateway.net.lean import (
    ExchangeFailedError,
    LeanConnections,
    NotConnectedError,
    Origin,
)
from gateway.net.operator_http import operator_http_client

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

LIMIT = 10_000


@pytest.fixture
async def connections(receiver: Receiver):
    origin = Origin("127.0.0.1", receiver.port)
    connections = LeanConnections(origin, connect_seconds=2, limit=LIMIT)
    yield connections
    connections.close()


async def post(connections: LeanConnections, body: bytes = b"{}"):
    headers = [(b"Host", b"x"), (b"Content-Length", str(len(body)).encode())]
    async with asyncio.timeout(5):
        return await connections.exchange(b"POST", b"/hook", headers, body)


async def test_a_connection_is_used_again_after_an_answer_with_a_certain_end(connections, receiver):
    receiver.always(misbehave.respond(200, b"answer"))
    for n in range(3):
        answer = await post(connections, b"x" * n)
        assert (answer.status, answer.body) == (200, b"answer")
    assert [request.connection for request in receiver.requests] == [0, 0, 0]
    assert [request.body for request in receiver.requests] == [b"", b"x", b"xx"]


async def test_chunks_end_certainly_too(connections, receiver):
    async def chunked(exchange):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for piece in (head, b"3\r\nabc\r", b"\n0\r\n", b"\r\n"):
            exchange.writer.write(piece)
            await exchange.writer.drain()
            await asyncio.sleep(0)

    receiver.always(chunked)
    assert (await post(connections)).body == b"abc"
    await post(connections)
    assert [request.connection for request in receiver.requests] == [0, 0]


async def test_concurrent_exchanges_have_a_connection_each(connections, receiver):
    receiver.always(misbehave.respond(200))
    await asyncio.gather(*(post(connections) for _ in range(5)))
    assert {request.connection for request in receiver.requests} == set(range(5))


def raw(wire: bytes, *, close: bool = False):
    async def behave(exchange):
        exchange.writer.write(wire)
        if close:
            exchange.writer.close()

    return behave


UNCERTAIN = {
    "a second answer": misbehave.answer_twice,
    "bytes behind the answer": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1."),
    "a word of closing": misbehave.respond(200, headers={"Connection": "close"}),
    "an answer of HTTP/1.0": raw(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "an end by closing": raw(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True),
    "an answer that is too long": misbehave.respond(200, b"x" * 3 * LIMIT),
}


@pytest.mark.parametrize("kind", UNCERTAIN)
async def test_a_connection_is_not_used_again_after(connections, receiver, kind):
    receiver.then(UNCERTAIN[kind])
    receiver.always(misbehave.respond(200, b"mine"))
    first = await post(connections)
    assert first.status == 200
    second = await post(connections)
    assert second.body == b"mine"
    assert [request.connection for request in receiver.requests] == [0, 1]


async def test_a_body_ends_a_little_behind_the_limit(connections, receiver):
    receiver.always(misbehave.endless_body)
    answer = await post(connections)
    assert answer.status == 200
    assert LIMIT < len(answer.body) <= LIMIT + 512 * 1024


async def test_who_asks_may_want_less_than_the_limit(connections, receiver):
    receiver.always(misbehave.endless_body)
    headers = [(b"Host", b"x"), (b"Content-Length", b"0")]
    answer = await connections.exchange(b"POST", b"/hook", headers, b"", limit=100)
    # The parser is given so much at a time.
    assert 100 < len(answer.body) <= 16 * 1024


async def test_graph_is_read_no_further_than_its_answers_go(receiver):
    receiver.always(misbehave.respond(200, b"x" * 300_000))
    client = operator_http_client()
    request = httpx.Request("POST", receiver.url, extensions={"gateway_answer_bytes": 1000})
    assert len(await (await client.send(request)).aread()) <= 17 * 1024
    assert len(await (await client.post(receiver.url)).aread()) == 300_000
    await client.aclose()


async def test_an_idle_connection_that_the_peer_closes_is_left(connections, receiver):
    async def answer_and_close(exchange):
        await misbehave.respond(200)(exchange)
        exchange.writer.close()

    receiver.then(answer_and_close)
    receiver.always(misbehave.respond(200, b"mine"))
    await post(connections)
    while receiver.open_connections:  # noqa: ASYNC110 - the peer tells nobody
        await asyncio.sleep(0)
    assert (await post(connections)).body == b"mine"
    assert [request.connection for request in receiver.requests] == [0, 1]


UNREADABLE = {
    "reset": misbehave.reset,
    "close": misbehave.close,
    "cut": misbehave.cut(b"abc"),
    "garbage": misbehave.garbage,
    "101": misbehave.switch_protocols,
    "endless header": misbehave.endless_header,
    "flood of 100": misbehave.informational_flood,
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "length and chunks": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_cannot_be_read_is_an_error(connections, receiver, kind):
    receiver.then(UNREADABLE[kind])
    receiver.always(misbehave.respond(200, b"mine"))
    with pytest.raises(ExchangeFailedError):
        await post(connections)
    assert (await post(connections)).body == b"mine"
    assert receiver.requests[-1].connection == 1


async def test_interim_answers_are_passed_over(connections, receiver):
    receiver.always(raw(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
    assert (await post(connections)).status == 204


async def test_who_is_cut_off_leaves_no_connection_behind(connections, receiver):
    receiver.then(misbehave.hang)
    receiver.always(misbehave.respond(200, b"mine"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connections.exchange(b"GET", b"/hook", [(b"Host", b"x")], b"")
    assert (await post(connections)).body == b"mine"
    assert receiver.requests[-1].connection == 1


async def test_a_refused_connection_says_so(connections, receiver):
    await receiver.__aexit__(None, None, None)
    with pytest.raises(NotConnectedError):
        await post(connections)
    await receiver.__aenter__()


async def test_a_header_that_would_split_the_request_does_not_leave(connections, receiver):
    with pytest.raises(ExchangeFailedError):
        await connections.exchange(b"POST", b"/hook", [(b"Host", b"x"), (b"A", b"b\r\nC: d")], b"")
    assert receiver.requests == []


async def test_the_next_address_is_tried_where_one_is_silent(receiver, monkeypatch):
    loop = asyncio.get_running_loop()
    stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    # A full backlog answers nothing: the first address takes no connection and refuses none.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        fill = [socket.socket() for _ in range(3)]
        for each in fill:
            each.setblocking(False)  # noqa: FBT003 - the standard library
            each.connect_ex(silent.getsockname())

        async def both(*_args, **_more):
            return [
                (*stream, silent.getsockname()),
                (*stream, ("127.0.0.1", receiver.port)),
            ]

        monkeypatch.setattr(type(loop), "getaddrinfo", both, raising=False)
        async with asyncio.timeout(3):
            dialled = await dial("two.example", 80)
        assert dialled.getpeername()[1] == receiver.port
        dialled.close()
        for each in fill:
            each.close()
