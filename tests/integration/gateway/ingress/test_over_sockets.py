"""The ingress as Meta meets it: a real server, a real broker, and what becomes of both."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.contract.test_broker import Kafka
from tests.integration.gateway.ingress.test_ingress import APP, body_of, sign, stage

from gateway.http.server import HttpServer
from gateway.ingress.meta import MetaWebhooks

__all__ = ["stage"]

LIMIT = 4 * 1024 * 1024
PATH = f"/webhooks/meta/{APP}"


BOTH_WAYS = pytest.mark.parametrize("past_asgi", [True, False], ids=["shortcut", "asgi"])


@asynccontextmanager
async def ingress(stage, broker, *, past_asgi=True):
    """Serve webhooks; give a client and the port."""
    producer = Kafka(broker.address).producer()
    app = MetaWebhooks(
        secrets=stage.secrets,
        producer=producer,
        clock=stage.clock,
        body_bytes=LIMIT,
        produce_seconds=4,
    )
    server = HttpServer(app, host="127.0.0.1", port=0, shortcut=app if past_asgi else None)
    async with asyncio.TaskGroup() as group:
        producing = group.create_task(producer.run())
        group.create_task(server.run())
        await server.listening()
        limits = httpx.Limits(max_connections=200)
        base = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=base, timeout=20, limits=limits) as client:
            yield client
        await server.stop()
        producing.cancel()
    await producer.stop(1)


async def post(client, body, **headers):
    return await client.post(
        PATH, content=body, headers={"X-Hub-Signature-256": sign(body)} | headers
    )


async def until_served(client, body):
    while True:
        answer = await post(client, body)
        if answer.status_code == 200:
            return
        # What is refused at once may be asked again in a moment.
        await asyncio.sleep(0.05)


@BOTH_WAYS
async def test_nothing_is_acknowledged_while_the_broker_is_frozen(stage, own_broker, past_asgi):
    async with ingress(stage, own_broker, past_asgi=past_asgi) as client:
        assert (await post(client, body_of("a"))).status_code == 200
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            answers = await asyncio.gather(*(post(client, body_of(f"b{n}")) for n in range(50)))
            # Four from when each is read, which a busy machine does not do at once.
            assert time.monotonic() - began < 8
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        assert {answer.status_code for answer in answers} == {503}
        assert all(answer.json()["type"] == "/problems/not-durable" for answer in answers)
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
        async with asyncio.timeout(10):
            await until_served(client, body_of("c"))


async def test_the_largest_body_is_taken_and_a_larger_one_is_refused_quickly(stage, own_broker):
    exact = body_of("a").ljust(LIMIT)
    async with ingress(stage, own_broker) as client:
        assert (await post(client, exact)).status_code == 200

        async def chunked():
            for start in range(0, LIMIT + 65536, 65536):
                yield b"y" * min(65536, LIMIT + 65536 - start)

        for content in (exact + b" ", chunked()):
            began = time.monotonic()
            answer = await client.post(PATH, content=content)
            assert time.monotonic() - began < 1
            assert answer.status_code == 413
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "deflate"])
async def test_encodings_are_refused(stage, own_broker, encoding):
    async with ingress(stage, own_broker) as client:
        answer = await post(client, body_of("a"), **{"Content-Encoding": encoding})
        assert answer.status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", PATH, 405),
        ("TRACE", PATH, 405),
        ("OPTIONS", PATH, 405),
        ("HEAD", PATH, 405),
        ("POST", PATH + "/", 404),
        ("POST", PATH + "/x", 404),
        ("POST", "/webhooks/meta/", 404),
        ("POST", "/webhooks/meta/%2e%2e%2fadmin", 404),
    ],
)
async def test_methods_and_paths(stage, own_broker, method, path, status):
    async with ingress(stage, own_broker) as client:
        body = body_of("a")
        answer = await client.request(
            method, path, content=body, headers={"X-Hub-Signature-256": sign(body)}
        )
        assert answer.status_code == status


@BOTH_WAYS
async def test_two_signature_headers_and_sha1_are_refused(stage, own_broker, past_asgi):
    body = body_of("a")
    good = ("X-Hub-Signature-256", sign(body))
    sha1 = ("X-Hub-Signature", "sha1=" + "0" * 40)
    async with ingress(stage, own_broker, past_asgi=past_asgi) as client:
        for headers, status in (
            ([good], 200),
            ([("X-Hub-Signature-256", sign(body).upper().replace("SHA256", "sha256"))], 200),
            ([good, sha1], 200),
            ([good, good], 401),
            ([sha1], 401),
            ([], 401),
            ([("X-Hub-Signature-256", sign(body).replace("sha256", "SHA256"))], 401),
        ):
            answer = await client.post(PATH, content=body, headers=headers)
            assert answer.status_code == status, headers


@BOTH_WAYS
async def test_a_client_that_hangs_up_leaves_the_server_serving(stage, own_broker, past_asgi):
    async with ingress(stage, own_broker, past_asgi=past_asgi) as client:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
            writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\n" % PATH.encode())
            writer.write(b"Content-Length: 100\r\n\r\nabc")
            await writer.drain()
            writer.transport.abort()
        assert (await post(client, body_of("a"))).status_code == 200
